#include "engine/step_graphs.h"

#include <algorithm>

#include "base/cuda_check.h"
#include "base/log.h"

namespace shoehorn {
namespace {

// A server's batches come in many sizes and contexts; a graph takes some MB of VRAM.
constexpr size_t kMostGraphs = 12;

}  // namespace

void StepGraphs::run(cudaStream_t stream, const Key& key, const std::function<void()>& queue) {
  if (off_) return queue();
  Entry& entry = find(stream, key);
  const bool first_time = entry.last_use == 0;
  entry.last_use = ++uses_;
  if (first_time) return queue();
  if (entry.graph == nullptr && !record(stream, queue, &entry.graph)) {
    clear();
    off_ = true;
    return queue();
  }
  CUDA_CHECK(cudaGraphLaunch(entry.graph, stream));
}

// The entry of `key`, in the place of the one that was not used for longest.
StepGraphs::Entry& StepGraphs::find(cudaStream_t stream, const Key& key) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) return *found;
  if (entries_.size() < kMostGraphs) return entries_.emplace_back(Entry{.key = key});
  Entry& oldest =
      *std::min_element(entries_.begin(), entries_.end(),
                        [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
  if (oldest.graph != nullptr) {
    CUDA_CHECK(cudaStreamSynchronize(stream));  // it may still run
    cudaGraphExecDestroy(oldest.graph);
  }
  oldest = {.key = key};
  return oldest;
}

bool StepGraphs::record(cudaStream_t stream, const std::function<void()>& queue,
                        cudaGraphExec_t* graph) {
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  queue();
  cudaGraph_t recorded = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream, &recorded);
  if (status == cudaSuccess) status = cudaGraphInstantiate(graph, recorded, 0);
  if (recorded != nullptr) cudaGraphDestroy(recorded);
  if (status == cudaSuccess) return true;
  *graph = nullptr;
  cudaGetLastError();  // not the error of what is queued next
  log_warning("GPU: no graph of the decoding step ({}); its kernels are queued one by one",
              cudaGetErrorString(status));
  return false;
}

void StepGraphs::clear() {
  for (const Entry& entry : entries_) {
    if (entry.graph != nullptr) cudaGraphExecDestroy(entry.graph);
  }
  entries_.clear();
}

}  // namespace shoehorn

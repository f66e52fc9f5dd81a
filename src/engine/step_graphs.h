// StepGraphs: steps that are queued alike again and again, replayed as CUDA graphs. Queuing a step
// kernel by kernel costs the host some microseconds a kernel, a thousand of them in a large model;
// a graph costs it one launch, and the card starts its kernels sooner after one another.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace shoehorn {

class StepGraphs {
 public:
  // What a queued step depends on beside what lies in memory on the card.
  struct Key {
    int64_t rows = 0;
    int64_t context = 0;
    bool operator==(const Key&) const = default;
  };

  StepGraphs() = default;
  ~StepGraphs() { clear(); }
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  // Queues on `stream` what `queue` queues there for `key`: always the same kernels with the same
  // arguments. The first time by calling it (kernels are loaded then), later by replaying. Where
  // the card has no room for a graph, steps are queued kernel by kernel from then on.
  void run(cudaStream_t stream, const Key& key, const std::function<void()>& queue);

 private:
  struct Entry {
    Key key;
    cudaGraphExec_t graph = nullptr;  // null: seen once
    int64_t last_use = 0;
  };
  Entry& find(cudaStream_t stream, const Key& key);
  bool record(cudaStream_t stream, const std::function<void()>& queue, cudaGraphExec_t* graph);
  void clear();

  std::vector<Entry> entries_;
  int64_t uses_ = 0;
  bool off_ = false;
};

}  // namespace shoehorn

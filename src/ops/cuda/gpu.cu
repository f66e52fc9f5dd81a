#include "ops/gpu.h"

#include "base/cuda_check.h"
#include "base/fault.h"
#include "ops/cuda/libraries.h"

namespace shoehorn {

Result<std::unique_ptr<Gpu>> Gpu::open(int index) {
  const GpuFacts facts = TRY(gpu_facts(index));
  TRY(cuda_result(cudaSetDevice(index), "GPU: opening the card"));
  cudaStream_t stream = nullptr;
  TRY(cuda_result(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "GPU: a stream"));
  auto libraries = std::make_unique<Libraries>();
  Result<Blas> blas = Blas::load();
  if (!blas.ok()) {
    cudaStreamDestroy(stream);
    return blas.error();
  }
  libraries->blas = *blas;
  if (fault(FaultPoint::card_handle) ||
      libraries->blas.create(&libraries->blas_handle) != CUBLAS_STATUS_SUCCESS) {
    cudaStreamDestroy(stream);
    return fail("GPU {}: cuBLAS cannot be opened; is the card's memory full?", index);
  }
  CHECK(libraries->blas.set_stream(libraries->blas_handle, stream) == CUBLAS_STATUS_SUCCESS,
        "cuBLAS stream");
  return std::unique_ptr<Gpu>(new Gpu(facts, stream, std::move(libraries)));
}

Gpu::Gpu(GpuFacts facts, cudaStream_t stream, std::unique_ptr<Libraries> libraries)
    : facts_(std::move(facts)), stream_(stream), libraries_(std::move(libraries)) {}

Gpu::~Gpu() {
  cudaStreamSynchronize(stream_);
  libraries_->blas.destroy(libraries_->blas_handle);
  cudaStreamDestroy(stream_);
}

Result<void> Gpu::wait() {
  return cuda_result(cudaStreamSynchronize(stream_), "GPU: computing");
}

}  // namespace shoehorn

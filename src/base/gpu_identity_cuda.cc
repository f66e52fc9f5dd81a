#include <algorithm>
#include <string_view>

#include "base/cuda_check.h"
#include "base/file.h"
#include "base/gpu.h"
#include "base/gpu_identity.h"

namespace shoehorn {
namespace {

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

// The kernel module's version; the version of CUDA that the driver knows is the same for many.
std::string module_version() {
  const Result<std::string> text = read_text_file("/sys/module/nvidia/version", 4096);
  if (!text.ok()) return "";
  const size_t length = std::min(text->find_first_of("\r\n"), text->size());
  return text->substr(0, length) + ", ";
}

}  // namespace

Result<GpuIdentity> gpu_identity(int index) {
  TRY(gpu_facts(index));  // says what there is instead
  cudaDeviceProp properties = {};
  TRY(cuda_result(cudaGetDeviceProperties(&properties, index), "the card's properties"));
  int version = 0;
  TRY(cuda_result(cudaDriverGetVersion(&version), "the driver's version"));
  GpuIdentity identity;
  identity.uuid = uuid_text(properties.uuid);
  identity.driver =
      fmt::format("{}CUDA {}.{}", module_version(), version / 1000, version % 1000 / 10);
  return identity;
}

}  // namespace shoehorn

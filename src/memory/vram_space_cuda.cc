// Virtual memory of the card (CUDA driver API, "Virtual Memory Management"): pieces of physical
// memory, all of one size, are mapped once one after the other, and again, some of them, where a
// block is joined. The driver maps whole pieces only, so each is as small as it can be. A piece
// that is mapped twice is coherent from one kernel or copy to the next (CUDA C++ Programming Guide,
// "Virtual Aliasing Support"), and a pool asks for no more: who had it before is done with it.
#include "memory/vram_space.h"

#include <cuda.h>
#include <dlfcn.h>

#include <algorithm>
#include <deque>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "base/fault.h"
#include "memory/gpu_buffer.h"

namespace shoehorn {
namespace {

constexpr uint64_t kGranuleBytes = uint64_t{2} << 20;
// Mapping a granule takes some 30 microseconds and unmapping it 20. Who asks for a joined block
// waits for the one; the other is done a few at a time, so that nobody waits for long.
constexpr uint64_t kTidiedGranules = 32;

// The driver's functions, under their own names, from the library that the runtime has loaded.
struct Driver {
  decltype(&::cuDeviceGetAttribute) device_attribute = nullptr;
  decltype(&::cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&::cuMemAddressReserve) reserve = nullptr;
  decltype(&::cuMemAddressFree) unreserve = nullptr;
  decltype(&::cuMemCreate) create = nullptr;
  decltype(&::cuMemRelease) release = nullptr;
  decltype(&::cuMemMap) map = nullptr;
  decltype(&::cuMemUnmap) unmap = nullptr;
  decltype(&::cuMemSetAccess) set_access = nullptr;
  bool usable = false;

  Driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    usable = find(library, "cuDeviceGetAttribute", device_attribute) &&
             find(library, "cuMemGetAllocationGranularity", granularity) &&
             find(library, "cuMemAddressReserve", reserve) &&
             find(library, "cuMemAddressFree", unreserve) && find(library, "cuMemCreate", create) &&
             find(library, "cuMemRelease", release) && find(library, "cuMemMap", map) &&
             find(library, "cuMemUnmap", unmap) && find(library, "cuMemSetAccess", set_access);
  }
  template <typename Function>
  static bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }
};

const Driver& driver() {
  static const Driver functions;
  return functions;
}

uint64_t free_on_card() {
  size_t free_bytes = 0, total_bytes = 0;
  cudaMemGetInfo(&free_bytes, &total_bytes);
  return free_bytes;
}

Error no_room(uint64_t size_bytes) {
  size_t free_bytes = 0, total_bytes = 0;
  cudaMemGetInfo(&free_bytes, &total_bytes);
  return fail("VRAM for a pool: expected {}, found {} free of {}", format_bytes(size_bytes),
              format_bytes(free_bytes), format_bytes(total_bytes));
}

class MappedVram final : public VramSpace {
 public:
  explicit MappedVram(int device)
      : location_({.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}) {}
  ~MappedVram() override {
    while (!parted_.empty()) tidy();
    if (!pieces_.empty()) driver().unmap(base_, pieces_.size() * kGranuleBytes);
    for (const CUmemGenericAllocationHandle piece : pieces_) driver().release(piece);
    if (base_ != 0) driver().unreserve(base_, reserved_bytes_);
  }

  // CUDA_ERROR_OUT_OF_MEMORY: no room. Anything else but success: not to be had here.
  CUresult take(uint64_t size_bytes) {
    CUmemAllocationProp properties = {};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = location_;
    size_t least = 0;
    CUresult status = driver().granularity(&least, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
    if (status != CUDA_SUCCESS) return status;
    if (kGranuleBytes % least != 0) return CUDA_ERROR_NOT_SUPPORTED;
    reserved_bytes_ = size_bytes / kGranuleBytes * kGranuleBytes;
    status = driver().reserve(&base_, reserved_bytes_, kGranuleBytes, 0, 0);
    if (status != CUDA_SUCCESS) return status;
    pieces_.reserve(reserved_bytes_ / kGranuleBytes);
    while (pieces_.size() * kGranuleBytes < reserved_bytes_) {
      CUmemGenericAllocationHandle piece = 0;
      status = driver().create(&piece, kGranuleBytes, &properties, 0);
      if (status != CUDA_SUCCESS) return status;
      status = driver().map(base_ + pieces_.size() * kGranuleBytes, kGranuleBytes, 0, piece, 0);
      if (status != CUDA_SUCCESS) {
        driver().release(piece);
        return status;
      }
      pieces_.push_back(piece);
    }
    return allow(base_, reserved_bytes_);
  }

  std::byte* data() const override { return reinterpret_cast<std::byte*>(base_); }
  uint64_t granule_bytes() const override { return kGranuleBytes; }

  Result<std::byte*> join(const std::vector<Range>& ranges) override {
    const uint64_t bytes = pieces_of(ranges) * kGranuleBytes;
    CUdeviceptr address = 0;
    CUresult status = CUDA_ERROR_OUT_OF_MEMORY;
    if (!fault(FaultPoint::vram_mapping)) {
      status = driver().reserve(&address, bytes, kGranuleBytes, 0, 0);
    }
    if (status != CUDA_SUCCESS) return refused(status);
    uint64_t mapped = 0;
    for (const Range& range : ranges) {
      const uint64_t end = (range.end() + kGranuleBytes - 1) / kGranuleBytes;
      for (uint64_t piece = range.begin / kGranuleBytes; piece < end; ++piece) {
        if (status != CUDA_SUCCESS) break;
        status = driver().map(address + mapped, kGranuleBytes, 0, pieces_[piece], 0);
        if (status == CUDA_SUCCESS) mapped += kGranuleBytes;
      }
    }
    if (status == CUDA_SUCCESS) status = allow(address, bytes);
    if (status != CUDA_SUCCESS) {
      if (mapped > 0) driver().unmap(address, mapped);
      driver().unreserve(address, bytes);
      return refused(status);
    }
    return reinterpret_cast<std::byte*>(address + ranges.front().begin % kGranuleBytes);
  }

  void part(std::byte* joined, const std::vector<Range>& ranges) override {
    const uint64_t bytes = pieces_of(ranges) * kGranuleBytes;
    const CUdeviceptr address =
        reinterpret_cast<CUdeviceptr>(joined) - ranges.front().begin % kGranuleBytes;
    parted_.push_back({.address = address, .bytes = bytes});
  }

  void tidy() override {
    if (parted_.empty()) return;
    Parted& oldest = parted_.front();
    const uint64_t bytes =
        std::min(oldest.bytes - oldest.unmapped_bytes, kTidiedGranules * kGranuleBytes);
    driver().unmap(oldest.address + oldest.unmapped_bytes, bytes);
    oldest.unmapped_bytes += bytes;
    if (oldest.unmapped_bytes < oldest.bytes) return;
    driver().unreserve(oldest.address, oldest.bytes);
    parted_.pop_front();
  }

 private:
  struct Parted {
    CUdeviceptr address = 0;
    uint64_t bytes = 0, unmapped_bytes = 0;
  };

  static Error refused(CUresult status) {
    return fail("joining free ranges: the driver refuses (error {})", static_cast<int>(status));
  }

  static uint64_t pieces_of(const std::vector<Range>& ranges) {
    uint64_t pieces = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
      const Range& range = ranges[i];
      CHECK(i == 0 || range.begin % kGranuleBytes == 0, "a piece begins at {}", range.begin);
      CHECK(i + 1 == ranges.size() || range.end() % kGranuleBytes == 0, "a piece ends at {}",
            range.end());
      pieces += (range.end() + kGranuleBytes - 1) / kGranuleBytes - range.begin / kGranuleBytes;
    }
    return pieces;
  }

  CUresult allow(CUdeviceptr address, uint64_t bytes) const {
    const CUmemAccessDesc access = {.location = location_,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    return driver().set_access(address, bytes, &access, 1);
  }

  CUmemLocation location_;
  CUdeviceptr base_ = 0;
  uint64_t reserved_bytes_ = 0;
  std::vector<CUmemGenericAllocationHandle> pieces_;  // mapped at base_, one after the other
  std::deque<Parted> parted_;
};

class PlainVram final : public VramSpace {
 public:
  explicit PlainVram(GpuBuffer buffer) : buffer_(std::move(buffer)) {}
  std::byte* data() const override { return buffer_.data(); }
  uint64_t granule_bytes() const override { return 0; }
  Result<std::byte*> join(const std::vector<Range>& ranges) override {
    CHECK(false, "{} ranges of memory that cannot be joined", ranges.size());
  }
  void part(std::byte*, const std::vector<Range>&) override {}
  void tidy() override {}

 private:
  GpuBuffer buffer_;
};

}  // namespace

Result<std::unique_ptr<VramSpace>> map_vram(uint64_t size_bytes) {
  int device = 0, supported = 0;
  TRY(cuda_result(cudaGetDevice(&device), "the current card"));
  TRY(cuda_result(cudaFree(nullptr), "the card's context"));  // the driver's functions need one
  if (!driver().usable || size_bytes < kGranuleBytes) return std::unique_ptr<VramSpace>();
  driver().device_attribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                            device);
  if (supported == 0) return std::unique_ptr<VramSpace>();
  // Asked first, so that a pool that cannot be does not take all others' memory until it fails.
  if (fault(FaultPoint::vram_allocation) || size_bytes > free_on_card()) return no_room(size_bytes);
  auto mapped = std::make_unique<MappedVram>(device);
  const CUresult status = mapped->take(size_bytes);
  if (status == CUDA_SUCCESS) return std::unique_ptr<VramSpace>(std::move(mapped));
  if (status == CUDA_ERROR_OUT_OF_MEMORY) return no_room(size_bytes);
  return std::unique_ptr<VramSpace>();
}

Result<std::unique_ptr<VramSpace>> plain_vram(uint64_t size_bytes) {
  return std::unique_ptr<VramSpace>(
      std::make_unique<PlainVram>(TRY(GpuBuffer::create(size_bytes, "a pool"))));
}

}  // namespace shoehorn

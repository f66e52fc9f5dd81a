// Synthetic models: files of a known model's true shape whose weights are noise, for measuring
// speed and memory where the real weights are not at hand. What such a model says is noise too, but
// every activation stays of order 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "models/known_models.h"
#include "tensor/stored_type.h"

namespace shoehorn {

struct SyntheticOptions {
  StoredType type = StoredType::q4_k;  // of every matrix; see block_type_for
  int64_t layers = 0;                  // the first so many; 0: all
  uint64_t seed = 1;                   // the same seed gives the same bytes on any machine
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress;
};

// The type that a matrix of `columns` gets: `wanted`, or where rows are no whole number of its
// blocks of 256 the type with blocks of 32 and at least as many bits.
StoredType block_type_for(StoredType wanted, int64_t columns);

// Fills `bytes`, blocks of `type` one after the other, with random weights of mean 0 and the given
// standard deviation, on all threads. `seed` fixes the bytes, whatever the number of threads.
// REQUIRES: whole blocks; a type that GGUF has.
void fill_random(ThreadPool& pool, StoredType type, double deviation, uint64_t seed,
                 std::span<std::byte> bytes);

// Bytes of the GGUF file that write_synthetic would write.
uint64_t synthetic_bytes(const KnownModel& model, const SyntheticOptions& options);

// Writes the model as a GGUF file with a tokenizer of single bytes, padded to the vocabulary's
// size. Errors: more layers than the model has; the file cannot be written.
Result<void> write_synthetic(ThreadPool& pool, const KnownModel& model,
                             const SyntheticOptions& options, const std::filesystem::path& path);

}  // namespace shoehorn

// Checkpoint: a model on disk, whichever family of files it comes in.
//
//   Checkpoint checkpoint = TRY(Checkpoint::open("model.gguf"));      // or a split's first file
//   Checkpoint checkpoint = TRY(Checkpoint::open("deepseek-llm-7b")); // a Hugging Face directory
//
// A directory may also hold one GGUF file (or one split); a file of a Hugging Face directory
// (config.json, a .safetensors) stands for its directory.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/model_config.h"
#include "formats/stored_tensor.h"
#include "formats/tokenizer.h"
#include "tensor/repack.h"

namespace shoehorn {

// Which names the tensors go by.
enum class TensorNaming : uint8_t { hugging_face, gguf };

class Checkpoint {
 public:
  // Maps the files and reads headers: milliseconds at any size. The tokenizer is read on demand.
  static Result<Checkpoint> open(const std::filesystem::path& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::string& name() const;  // the path as given, for messages
  TensorNaming naming() const;
  const ModelConfig& config() const;
  // eos ids merged from all files that state them, ascending.
  const GenerationConfig& generation_config() const;

  const std::vector<StoredTensor>& tensors() const;
  const StoredTensor* find(std::string_view tensor) const;  // null: absent
  // Tensors of types that nothing here computes with, not among tensors().
  const UnsupportedTensors& unsupported_tensors() const;

  // Tells the kernel that a tensor's pages are done with (after repacking).
  void release(const StoredTensor& tensor) const;
  // Or that some of its bytes are wanted soon.
  void will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const;

  Result<TokenizerData> tokenizer_data() const;
  const std::string& chat_template() const;  // Jinja text; "" where the files have none

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A matrix [rows, columns] ready for repack_rows, the tile scales of F8_E4M3 attached; a view into
// the checkpoint's maps. Errors name the file, the tensor, what was expected and found: it is
// absent, of an unsupported type, of another shape.
Result<StoredMatrix> stored_matrix(const Checkpoint& checkpoint, std::string_view tensor,
                                   int64_t rows, int64_t columns);

// The Error for a tensor whose bytes could not be read from the map (base/bus_guard.h).
Error unreadable(const Checkpoint& checkpoint, std::string_view tensor);

// A vector of `length` as floats, from any type. Errors as above; the file can no longer be read.
Result<std::vector<float>> stored_vector(const Checkpoint& checkpoint, std::string_view tensor,
                                         int64_t length);

}  // namespace shoehorn

// Checkpoint: a model on disk, whichever family of files it comes in.
//
//   Checkpoint checkpoint = TRY(Checkpoint::open("model.gguf"));      // or a split's first file
//   Checkpoint checkpoint = TRY(Checkpoint::open("deepseek-llm-7b")); // a Hugging Face directory
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
  const GenerationConfig& generation_config()
      const;  // eos ids merged from all files that state them

  const std::vector<StoredTensor>& tensors() const;
  const StoredTensor* find(std::string_view tensor) const;  // null: absent

  // Tells the kernel that a tensor's pages are done with (after repacking).
  void release(const StoredTensor& tensor) const;

  Result<TokenizerData> tokenizer_data() const;
  const std::string& chat_template() const;  // Jinja text; "" where the files have none

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoehorn

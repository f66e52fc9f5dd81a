#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

namespace shoehorn {
namespace {

// Length of the longest end of `text` that is a proper beginning of `stop`.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings)
    : detokenizer_(tokenizer), stop_strings_(std::move(stop_strings)) {
  std::erase(stop_strings_, "");
}

std::string TextStream::next(int32_t token) {
  if (stopped_) return "";
  held_ += detokenizer_.next(token);
  return release();
}

std::string TextStream::finish() {
  if (stopped_) return "";
  held_ += detokenizer_.finish();
  std::string text = release();
  return stopped_ ? text : text + std::exchange(held_, "");
}

std::string TextStream::release() {
  size_t found = std::string::npos;
  for (const std::string& stop : stop_strings_) found = std::min(found, held_.find(stop));
  if (found != std::string::npos) {
    stopped_ = true;
    return std::exchange(held_, "").substr(0, found);
  }
  size_t kept = 0;
  for (const std::string& stop : stop_strings_) kept = std::max(kept, overlap(held_, stop));
  std::string text = held_.substr(0, held_.size() - kept);
  held_.erase(0, text.size());
  return text;
}

}  // namespace shoehorn

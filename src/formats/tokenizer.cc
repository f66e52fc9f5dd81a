#include "formats/tokenizer.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "formats/bpe.h"
#include "formats/pre_tokenizer.h"
#include "formats/quote.h"
#include "formats/tokenizer_added.h"
#include "formats/tokenizer_nfc.h"

namespace shoehorn {
namespace {

// The ids of short pieces met before, direct-mapped: one cache line a piece, a newcomer takes the
// place of the old one.
class PieceCache {
 public:
  static constexpr size_t kMostBytes = 22, kMostIds = 10;
  struct alignas(64) Slot {
    uint8_t size = 0;  // bytes; 0: free
    uint8_t count = 0;
    char bytes[kMostBytes];
    int32_t ids[kMostIds];
    bool holds(std::string_view piece) const {
      return size == piece.size() && std::memcmp(bytes, piece.data(), piece.size()) == 0;
    }
  };
  static_assert(sizeof(Slot) == 64);

  PieceCache() : slots_(kSlots) {}
  Slot& slot(std::string_view piece) { return slots_[hash_bytes(piece) % kSlots]; }

  static void fill(Slot& slot, std::string_view piece, const int32_t* ids, size_t count) {
    if (count > kMostIds) return;
    slot.size = static_cast<uint8_t>(piece.size());
    slot.count = static_cast<uint8_t>(count);
    std::memcpy(slot.bytes, piece.data(), piece.size());
    std::copy_n(ids, count, slot.ids);
  }

 private:
  static constexpr size_t kSlots = 16384;  // 1 MiB
  std::vector<Slot> slots_;
};

struct EncodeScratch {
  PieceCache cache;
  BpeScratch bpe;
};

// Scratch for each thread that encodes at the same time, kept between calls.
class ScratchPool {
 public:
  std::unique_ptr<EncodeScratch> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<EncodeScratch> scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<EncodeScratch>();
  }
  void give_back(std::unique_ptr<EncodeScratch> scratch) {
    // One huge piece shall not hold its memory for good.
    if (scratch->bpe.symbols.capacity() > size_t{1} << 16) scratch->bpe = {};
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<EncodeScratch>> free_;
};

// What an id stands for.
enum class Kind : uint8_t { plain, added, special, unused };

Result<std::vector<Kind>> token_kinds(const TokenizerData& data) {
  const auto size = static_cast<int64_t>(data.tokens.size());
  std::vector<Kind> kinds(data.tokens.size(), Kind::plain);
  const auto in_range = [size](int64_t id) { return id >= 0 && id < size; };
  for (int64_t id = 0; id < size; ++id) {
    if (data.tokens[id].empty()) kinds[id] = Kind::unused;
  }
  for (const int32_t id : data.unused_ids) {
    if (!in_range(id)) {
      return fail("{}: unused token {}: expected an id below {}", data.source, id, size);
    }
    kinds[id] = Kind::unused;
  }
  for (const AddedToken& token : data.added_tokens) {
    if (!in_range(token.id)) {
      return fail("{}: added token {}: expected an id below {}, found {}", data.source,
                  quote(token.content), size, token.id);
    }
    if (token.content.empty() || token.content.size() > kMostAddedTokenBytes) {
      return fail("{}: added token {}: expected 1 to {} bytes, found {}", data.source, token.id,
                  kMostAddedTokenBytes, token.content.size());
    }
    if (data.tokens[token.id] != token.content) {
      return fail("{}: added token {}: expected {} in the vocabulary, found {}", data.source,
                  token.id, quote(token.content), quote(data.tokens[token.id]));
    }
    kinds[token.id] = token.special ? Kind::special : Kind::added;
  }
  const auto check = [&](const char* what, int32_t id) -> Result<void> {
    if (id == -1 || in_range(id)) return {};
    return fail("{}: {}: expected an id below {}, found {}", data.source, what, size, id);
  };
  TRY(check("bos_token_id", data.bos_token_id));
  TRY(check("eos_token_id", data.eos_token_id));
  TRY(check("pad_token_id", data.pad_token_id));
  return kinds;
}

}  // namespace

const char* name(PreTokenizer pre_tokenizer) {
  switch (pre_tokenizer) {
    case PreTokenizer::deepseek_llm:
      return "deepseek-llm";
    case PreTokenizer::deepseek_coder:
      return "deepseek-coder";
    case PreTokenizer::deepseek_v3:
      return "deepseek-v3";
    case PreTokenizer::qwen2:
      return "qwen2";
    case PreTokenizer::llama3:
      return "llama-bpe";
    case PreTokenizer::smollm:
      return "smollm";
    case PreTokenizer::gpt2:
      return "gpt-2";
  }
  return "?";
}

struct Tokenizer::State {
  TokenizerData data;
  std::vector<Kind> kinds;
  TokenTable tokens;
  Bpe bpe;
  PieceScanner scanner;
  AddedTokenMatcher all_added;
  AddedTokenMatcher ordinary_added;
  mutable ScratchPool pool;

  void encode_plain(std::string_view text, EncodeScratch& scratch, std::vector<int32_t>& ids) const;
  void encode_piece(std::string_view piece, EncodeScratch& scratch,
                    std::vector<int32_t>& ids) const;
  void merge_piece(std::string_view piece, EncodeScratch& scratch, std::vector<int32_t>& ids) const;
};

void Tokenizer::State::merge_piece(std::string_view piece, EncodeScratch& scratch,
                                   std::vector<int32_t>& ids) const {
  const int32_t whole = data.ignore_merges ? tokens.find(piece) : -1;
  if (whole >= 0) {
    ids.push_back(whole);
  } else {
    bpe.encode(piece, scratch.bpe, ids);
  }
}

void Tokenizer::State::encode_piece(std::string_view piece, EncodeScratch& scratch,
                                    std::vector<int32_t>& ids) const {
  if (piece.size() > PieceCache::kMostBytes) return merge_piece(piece, scratch, ids);
  PieceCache::Slot& slot = scratch.cache.slot(piece);
  if (slot.holds(piece)) {
    ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
    return;
  }
  const size_t before = ids.size();
  merge_piece(piece, scratch, ids);
  PieceCache::fill(slot, piece, ids.data() + before, ids.size() - before);
}

void Tokenizer::State::encode_plain(std::string_view text, EncodeScratch& scratch,
                                    std::vector<int32_t>& ids) const {
  std::string normalized;
  if (data.normalize_nfc && !is_plainly_nfc(text)) {
    normalized = to_nfc(text);
    text = normalized;
  }
  scanner.split(text, [&](std::string_view piece) { encode_piece(piece, scratch, ids); });
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(TokenizerData data) {
  std::vector<Kind> kinds = TRY(token_kinds(data));
  std::vector<bool> is_plain(kinds.size());
  for (size_t id = 0; id < kinds.size(); ++id) is_plain[id] = kinds[id] == Kind::plain;
  TokenTable tokens = TRY(TokenTable::create(data, is_plain));
  Bpe bpe = TRY(Bpe::create(data, tokens));
  PieceScanner scanner(data.pre_tokenizer);
  AddedTokenMatcher all(data.added_tokens, /*special_too=*/true);
  AddedTokenMatcher ordinary(data.added_tokens, /*special_too=*/false);
  data.merges = {};
  return Tokenizer(std::unique_ptr<State>(new State{std::move(data),
                                                    std::move(kinds),
                                                    std::move(tokens),
                                                    std::move(bpe),
                                                    std::move(scanner),
                                                    std::move(all),
                                                    std::move(ordinary),
                                                    {}}));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 2);
  if (options.add_bos && state_->data.bos_token_id >= 0) ids.push_back(state_->data.bos_token_id);
  const AddedTokenMatcher& matcher =
      options.parse_special ? state_->all_added : state_->ordinary_added;
  std::unique_ptr<EncodeScratch> scratch = state_->pool.take();
  size_t position = 0;
  while (const auto match = matcher.find(text, position)) {
    state_->encode_plain(text.substr(position, match->position - position), *scratch, ids);
    ids.push_back(match->id);
    position = match->position + match->size;
  }
  state_->encode_plain(text.substr(position), *scratch, ids);
  state_->pool.give_back(std::move(scratch));
  return ids;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return is_unused(id) ? std::string_view() : state_->tokens.bytes(id);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) text += token_bytes(id);
  }
  return text;
}

const TokenizerData& Tokenizer::data() const {
  return state_->data;
}

int32_t Tokenizer::vocabulary_size() const {
  return state_->tokens.size();
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocabulary_size() && state_->kinds[id] == Kind::special;
}

bool Tokenizer::is_unused(int32_t id) const {
  return id < 0 || id >= vocabulary_size() || state_->kinds[id] == Kind::unused;
}

std::optional<int32_t> Tokenizer::find(std::string_view token) const {
  const auto match = state_->all_added.find(token, 0);
  if (match && match->position == 0 && match->size == token.size()) return match->id;
  const int32_t id = state_->tokens.find(token);
  if (id < 0) return std::nullopt;
  return id;
}

}  // namespace shoehorn

#include "formats/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>

#include "formats/quote.h"
#include "formats/tokenizer_alphabet.h"

namespace shoehorn {
namespace {

constexpr uint32_t kEnd = ~uint32_t{0};  // no symbol

// The two halves of a 128-bit product, folded.
uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

template <typename T>
uint64_t load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// 3 bytes or fewer as a number; `size` tells equal numbers of different lengths apart elsewhere.
uint64_t load_short(const char* p, size_t size) {
  if (size == 0) return 0;
  const auto byte = [p](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])}; };
  return byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
}

size_t table_size(size_t entries) {
  return std::bit_ceil(std::max<size_t>(entries * 2, 16));
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15u, kB = 0xD1B54A32D192ED03u;
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = left * kA;
  for (; left > 16; left -= 8, p += 8) hash = mix(hash ^ load<uint64_t>(p), kB);
  if (left >= 8) {  // two overlapping words
    return mix(mix(hash ^ load<uint64_t>(p), kB) ^ load<uint64_t>(p + left - 8), kA);
  }
  if (left >= 4) {
    return mix(hash ^ (load<uint32_t>(p) << 32 | load<uint32_t>(p + left - 4)), kB);
  }
  return mix(hash ^ load_short(p, left), kB);
}

Result<TokenTable> TokenTable::create(const TokenizerData& data,
                                      const std::vector<bool>& is_plain) {
  TokenTable table;
  size_t total_bytes = 0;
  for (const std::string& token : data.tokens) total_bytes += token.size();
  if (total_bytes >= std::numeric_limits<uint32_t>::max()) {
    return fail("{}: tokens: expected less than 4 GiB of text, found {} bytes", data.source,
                total_bytes);
  }
  table.bytes_.reserve(total_bytes);
  table.ends_.reserve(data.tokens.size() + 1);
  table.ends_.push_back(0);
  table.slots_.resize(table_size(data.tokens.size()));
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const bool spelled = is_plain[i] && append_token_bytes(data.tokens[i], table.bytes_);
    if (!spelled) table.bytes_ += data.tokens[i];
    table.ends_.push_back(static_cast<uint32_t>(table.bytes_.size()));
    if (spelled && !data.tokens[i].empty()) table.insert(static_cast<int32_t>(i));
  }
  return table;
}

void TokenTable::insert(int32_t id) {
  const uint64_t hash = hash_bytes(bytes(id));
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  for (; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].hash == tag && bytes(slots_[i].id) == bytes(id)) return;  // the first one counts
  }
  slots_[i] = {tag, id};
}

int32_t TokenTable::find(std::string_view wanted) const {
  const uint64_t hash = hash_bytes(wanted);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].hash == tag && bytes(slots_[i].id) == wanted) return slots_[i].id;
  }
  return -1;
}

Result<Bpe> Bpe::create(const TokenizerData& data, const TokenTable& tokens) {
  Bpe bpe;
  for (int byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    bpe.byte_tokens_[byte] = tokens.find({&text, 1});
  }
  bpe.merges_.resize(table_size(data.merges.size()));
  std::string bytes;
  for (size_t rank = 0; rank < data.merges.size(); ++rank) {
    const std::string_view merge = data.merges[rank];
    const auto unusable = [&](const char* what) {
      return fail("{}: merge {}: expected {}, found {}", data.source, rank, what, quote(merge));
    };
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos) return unusable("two tokens with a space between them");
    bytes.clear();
    if (!append_token_bytes(merge.substr(0, space), bytes)) return unusable("known tokens");
    const size_t left_size = bytes.size();
    if (!append_token_bytes(merge.substr(space + 1), bytes)) return unusable("known tokens");
    const std::string_view both = bytes;
    const int32_t left = tokens.find(both.substr(0, left_size));
    const int32_t right = tokens.find(both.substr(left_size));
    const int32_t merged = tokens.find(both);
    if (left < 0 || right < 0) return unusable("known tokens");
    if (merged < 0) return unusable("tokens that make a known one");
    bpe.insert({static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right),
                static_cast<uint32_t>(rank), merged});
  }
  return bpe;
}

void Bpe::insert(const Merge& merge) {
  const size_t mask = merges_.size() - 1;
  size_t i = mix(merge.pair, 0x9E3779B97F4A7C15u) & mask;
  while (merges_[i].pair != kNoPair && merges_[i].pair != merge.pair) i = (i + 1) & mask;
  merges_[i] = merge;  // of equal pairs the last one counts, as in Hugging Face's table
}

const Bpe::Merge* Bpe::find(int32_t left, int32_t right) const {
  const uint64_t pair = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  const size_t mask = merges_.size() - 1;
  for (size_t i = mix(pair, 0x9E3779B97F4A7C15u) & mask; merges_[i].pair != kNoPair;
       i = (i + 1) & mask) {
    if (merges_[i].pair == pair) return &merges_[i];
  }
  return nullptr;
}

void Bpe::rank_pair(BpeScratch& scratch, uint32_t left) const {
  BpeScratch::Symbol& symbol = scratch.symbols[left];
  symbol.rank = kNoRank;
  if (symbol.next == kEnd) return;
  const Merge* merge = find(symbol.id, scratch.symbols[symbol.next].id);
  if (merge == nullptr) return;
  symbol.rank = merge->rank;
  symbol.merged = merge->merged;
  scratch.heap.push_back(static_cast<uint64_t>(merge->rank) << 32 | left);
}

void Bpe::encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  CHECK(piece.size() < kEnd, "a piece of {} bytes", piece.size());
  auto& [symbols, heap] = scratch;
  symbols.clear();
  heap.clear();
  for (const char c : piece) {
    const int32_t id = byte_tokens_[static_cast<uint8_t>(c)];
    const auto index = static_cast<uint32_t>(symbols.size());
    if (id >= 0) symbols.push_back({id, index - 1, index + 1, kNoRank, -1});  // 0 - 1 is kEnd
  }
  if (symbols.empty()) return;
  symbols.back().next = kEnd;
  for (uint32_t i = 0; i < symbols.size(); ++i) rank_pair(scratch, i);
  // Entries go stale when a neighbour merges: the symbol then has another rank, or none.
  const std::greater<uint64_t> later;
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    const auto left = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    BpeScratch::Symbol& symbol = symbols[left];
    if (symbol.rank != rank) continue;
    BpeScratch::Symbol& right = symbols[symbol.next];
    symbol.id = symbol.merged;
    symbol.next = right.next;
    right.rank = kNoRank;
    if (right.next != kEnd) symbols[right.next].previous = left;
    for (const uint32_t changed : {symbol.previous, left}) {
      if (changed == kEnd) continue;
      const size_t entries = heap.size();
      rank_pair(scratch, changed);
      if (heap.size() > entries) std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  for (uint32_t i = 0; i != kEnd; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace shoehorn

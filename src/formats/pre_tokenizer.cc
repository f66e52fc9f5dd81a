#include "formats/pre_tokenizer.h"

#include "formats/pre_tokenizer_reader.h"

namespace shoehorn {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// 's|'t|'re|'ve|'m|'ll|'d at `p`: its end, or null. Caseless, 's has one more form: U+017F, the
// long s, which Unicode folds to s.
const char* contraction(const TextReader& text, const char* p, bool caseless) {
  if (*p != '\'' || text.end - p < 2) return nullptr;
  const auto letter = [p, caseless](int i) { return caseless ? lower(p[i]) : p[i]; };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if (text.end - p < 3) return nullptr;
  const char second = letter(2);
  if ((second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l')) {
    return p + 3;
  }
  return caseless && first == '\xC5' && second == '\xBF' ? p + 3 : nullptr;
}

// \s*[\r\n]+ (where the expression has it), else \s+(?!\S), else \s+. REQUIRES: whitespace at `p`.
// A character of a class in `stop` ends the piece that an earlier stage has made.
const char* whitespace(const TextReader& text, const char* p, bool newlines_apart, int stop) {
  const char* last = p;
  const char* after_newline = nullptr;
  const char* q = p;
  for (ClassedCharacter c = text.at(q); c.is(kSpace); c = text.at(q)) {
    last = q;
    q += c.length;
    if (c.is(kNewline)) after_newline = q;
  }
  if (newlines_apart && after_newline != nullptr) return after_newline;
  if (q == text.end || text.at(q).is(stop)) return q;
  return last == p ? q : last;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+
const char* next_llama3(const TextReader& text, const char* p, int digits) {
  if (const char* end = contraction(text, p, /*caseless=*/true)) return end;
  const ClassedCharacter c = text.at(p);
  if (c.is(kLetter)) return text.run(p + c.length, kLetter);
  if (c.is(kNumber)) return text.run_at_most(p, kNumber, digits);
  if (!c.is(kNewline)) {
    const char* letters = text.run(p + c.length, kLetter);
    if (letters != p + c.length) return letters;
  }
  const char* body = *p == ' ' ? p + 1 : p;
  const char* end = text.run_without(body, kSpace | kLetter | kNumber);
  if (end != body) return text.run(end, kNewline);
  return whitespace(text, p, /*newlines_apart=*/true, /*stop=*/0);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// smollm: after a stage that isolates each \p{N}, so numbers end what lies before them.
const char* next_gpt2(const TextReader& text, const char* p, bool isolate_numbers) {
  if (const char* end = contraction(text, p, /*caseless=*/false)) return end;
  const char* body = *p == ' ' ? p + 1 : p;
  const ClassedCharacter c = text.at(body);
  if (c.is(kLetter)) return text.run(body, kLetter);
  if (c.is(kNumber) && !isolate_numbers) return text.run(body, kNumber);
  if (c.is(kNumber) && body == p) return p + c.length;
  if (c.length > 0 && !c.is(kSpace | kNumber)) {
    return text.run_without(body, kSpace | kLetter | kNumber);
  }
  return whitespace(text, p, /*newlines_apart=*/false, isolate_numbers ? kNumber : 0);
}

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
// ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+   and what it matches nowhere is a piece too.
// REQUIRES: no \p{N} in the text.
const char* next_deepseek_v3(const TextReader& text, const char* p) {
  const ClassedCharacter c = text.at(p);
  const char* next = p + c.length;
  if (c.is(kPunctuation | kSymbol) && c.length == 1 && next < text.end && is_ascii_letter(*next)) {
    while (next < text.end && is_ascii_letter(*next)) ++next;
    return next;
  }
  if (c.is(kLetter | kMark)) return text.run(p, kLetter | kMark);
  if (!c.is(kNewline | kPunctuation | kSymbol)) {
    const char* letters = text.run(next, kLetter | kMark);
    if (letters != next) return letters;
  }
  const char* body = *p == ' ' ? p + 1 : p;
  const char* end = text.run(body, kPunctuation | kSymbol);
  if (end != body) return text.run(end, kNewline);
  if (c.is(kSpace)) return whitespace(text, p, /*newlines_apart=*/true, /*stop=*/0);
  // No alternative begins here: control, format, private and unassigned characters.
  constexpr int kAny = kLetter | kMark | kPunctuation | kSymbol | kSpace;
  for (ClassedCharacter gap = text.at(next); gap.length > 0 && !gap.is(kAny); gap = text.at(next)) {
    if (text.at(next + gap.length).is(kLetter | kMark)) break;
    next += gap.length;
  }
  return next;
}

// One stage of a deepseek-llm or deepseek-coder list: calls `emit` with the ranges that \s?[class]+
// matches in [p, text.end) and with the gaps between them.
template <typename Emit>
void split_spaced_runs(const TextReader& text, const char* p, int class_bit, const Emit& emit) {
  const char* gap = p;
  while (p < text.end) {
    const ClassedCharacter c = text.at(p);
    const char* end = c.is(kSpace) ? text.run(p + c.length, class_bit) : p;
    if (end == p + c.length || end == p) end = text.run(p, class_bit);
    if (end == p) {
      p += c.length;
      continue;
    }
    if (gap != p) emit(gap, p);
    emit(p, end);
    gap = p = end;
  }
  if (gap != p) emit(gap, p);
}

// Stage \s+$ : the whitespace at the end of the range is a piece.
template <typename Emit>
void split_trailing_space(const TextReader& text, const char* p, const Emit& emit) {
  const char* spaces = text.end;
  for (const char* q = p; q < text.end;) {
    const char* run_end = text.run(q, kSpace);
    if (run_end == text.end) {
      spaces = q;
      break;
    }
    q = text.run_without(run_end, kSpace);
  }
  if (spaces != p) emit(p, spaces);
  if (spaces != text.end) emit(spaces, text.end);
}

// Stages "runs of kCjk" and "each \p{N}".
void split_cjk_and_numbers(const TextReader& text, const char* p, const PieceScanner::Sink& sink) {
  const auto emit = [&sink](const char* begin, const char* end) {
    if (begin != end) sink({begin, static_cast<size_t>(end - begin)});
  };
  const char* begin = p;
  bool in_cjk = false;
  while (p < text.end) {
    const ClassedCharacter c = text.at(p);
    if (c.is(kNumber)) {
      emit(begin, p);
      begin = p + c.length;
      emit(p, begin);
    } else if (c.is(kCjk) != in_cjk) {
      emit(begin, p);
      begin = p;
      in_cjk = !in_cjk;
    }
    p += c.length;
  }
  emit(begin, p);
}

// Calls `emit` with each line and, apart, with each \r and \n.
template <typename Emit>
void split_newlines(const char* p, const char* end, const Emit& emit) {
  while (p < end) {
    const char* line = p;
    while (p < end && *p != '\n' && *p != '\r') ++p;
    if (line != p) emit(line, p);
    if (p < end) {
      emit(p, p + 1);
      ++p;
    }
  }
}

// [\r\n] / \s?letters+ / \s?punctuation+ / \s+$ / CJK runs / \p{N}: every stage splits what the one
// before it left, matches included.
void split_deepseek_llm(const TextReader& text, const char* begin, const PieceScanner::Sink& sink) {
  const auto within = [&text](const char* end) { return TextReader{text.classes, end}; };
  split_newlines(begin, text.end, [&](const char* p, const char* end) {
    split_spaced_runs(within(end), p, kLetter, [&](const char* p, const char* end) {
      split_spaced_runs(within(end), p, kPunctuation, [&](const char* p, const char* end) {
        split_trailing_space(within(end), p, [&](const char* p, const char* end) {
          split_cjk_and_numbers(within(end), p, sink);
        });
      });
    });
  });
}

// [\r\n] / \s?\p{L}+ / \s?\p{P}+ / CJK runs / \p{N}
void split_deepseek_coder(const TextReader& text, const char* begin,
                          const PieceScanner::Sink& sink) {
  const auto within = [&text](const char* end) { return TextReader{text.classes, end}; };
  split_newlines(begin, text.end, [&](const char* p, const char* end) {
    split_spaced_runs(within(end), p, kLetter, [&](const char* p, const char* end) {
      split_spaced_runs(within(end), p, kPunctuation, [&](const char* p, const char* end) {
        split_cjk_and_numbers(within(end), p, sink);
      });
    });
  });
}

template <typename Next>
void split_by(const char* p, const char* end, const PieceScanner::Sink& sink, const Next& next) {
  while (p < end) {
    const char* piece_end = next(p);
    sink({p, static_cast<size_t>(piece_end - p)});
    p = piece_end;
  }
}

// \p{N}{1,3} / CJK runs / the expression of next_deepseek_v3, which splits the CJK runs as well: at
// the middle dot, for one.
void split_deepseek_v3(const TextReader& text, const char* p, const PieceScanner::Sink& sink) {
  while (p < text.end) {
    const ClassedCharacter c = text.at(p);
    if (c.is(kNumber)) {
      const char* end = text.run_at_most(p, kNumber, 3);
      sink({p, static_cast<size_t>(end - p)});
      p = end;
      continue;
    }
    const char* end = c.is(kCjk) ? text.run(p, kCjk) : text.run_without(p, kNumber | kCjk);
    const TextReader within{text.classes, end};
    split_by(p, end, sink, [&](const char* q) { return next_deepseek_v3(within, q); });
    p = end;
  }
}

}  // namespace

PieceScanner::PieceScanner(PreTokenizer pre_tokenizer)
    : pre_tokenizer_(pre_tokenizer), classes_(character_classes(pre_tokenizer)) {}

void PieceScanner::split(std::string_view text, const Sink& piece) const {
  const char* begin = text.data();
  const TextReader reader{classes_.data(), begin + text.size()};
  switch (pre_tokenizer_) {
    case PreTokenizer::deepseek_llm:
      return split_deepseek_llm(reader, begin, piece);
    case PreTokenizer::deepseek_coder:
      return split_deepseek_coder(reader, begin, piece);
    case PreTokenizer::deepseek_v3:
      return split_deepseek_v3(reader, begin, piece);
    case PreTokenizer::qwen2:
      return split_by(begin, reader.end, piece,
                      [&](const char* p) { return next_llama3(reader, p, 1); });
    case PreTokenizer::llama3:
      return split_by(begin, reader.end, piece,
                      [&](const char* p) { return next_llama3(reader, p, 3); });
    case PreTokenizer::smollm:
      return split_by(begin, reader.end, piece,
                      [&](const char* p) { return next_gpt2(reader, p, true); });
    case PreTokenizer::gpt2:
      return split_by(begin, reader.end, piece,
                      [&](const char* p) { return next_gpt2(reader, p, false); });
  }
}

}  // namespace shoehorn

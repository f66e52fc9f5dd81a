#include "apps/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace shoehorn {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Columns that a UTF-8 text takes, as far as one column a code point goes.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) != 0;
}

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), enabled_(is_terminal(STDERR_FILENO)), started_s_(now_s()) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::update(uint64_t done, uint64_t total) {
  const double now = now_s();
  if (!enabled_ || total == 0 || now - drawn_at_s_ < 0.05) return;
  drawn_at_s_ = now;
  drawn_ = true;
  constexpr int kCells = 30;
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int full = static_cast<int>(part * kCells);
  std::string bar;
  for (int i = 0; i < kCells; ++i) bar += i < full ? "█" : "░";
  const double left = part > 0 ? (now - started_s_) * (1 - part) / part : 0;
  std::fprintf(stderr, "\r%s %s %3.0f %%  %.0f s left \x1b[K", label_.c_str(), bar.c_str(),
               part * 100, left);
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

std::string Table::text() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      const std::string padding(widths[i] - width(rows_[r][i]), ' ');
      text += i == 0 ? rows_[r][i] + padding : "  " + padding + rows_[r][i];
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i)
      text += (i ? "  " : "") + std::string(widths[i], '-');
    text += '\n';
  }
  return text;
}

}  // namespace shoehorn

// What a person sees: progress bars on a terminal (silence elsewhere) and aligned tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoehorn {

bool is_terminal(int descriptor);

// A bar on standard error, redrawn at most twenty times a second and erased at the end. Draws
// nothing where standard error is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(uint64_t done, uint64_t total);
  void clear();

 private:
  std::string label_;
  bool enabled_;
  bool drawn_ = false;
  double started_s_;
  double drawn_at_s_ = 0;
};

// Rows of text with columns aligned: the first to the left, the others to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace shoehorn

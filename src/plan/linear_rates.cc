// Seconds of products from measured rates.
#include <algorithm>
#include <span>

#include "base/check.h"
#include "plan/machine.h"

namespace shoehorn {
namespace {

double seconds_of(const LinearRate& rate) {
  return static_cast<double>(rate.weight_bytes) / rate.bytes_per_s;
}

// `rates`: of one number of rows, by bytes. Below the smallest, the line through the first two
// (part of the time does not depend on the size); above the largest, at its rate.
double seconds_at(std::span<const LinearRate> rates, double bytes) {
  const auto above = std::find_if(rates.begin(), rates.end(), [&](const LinearRate& rate) {
    return static_cast<double>(rate.weight_bytes) >= bytes;
  });
  if (above == rates.end()) return bytes / rates.back().bytes_per_s;
  if (rates.size() == 1) return bytes / above->bytes_per_s;
  const LinearRate& low = above == rates.begin() ? *above : *(above - 1);
  const LinearRate& high = above == rates.begin() ? *(above + 1) : *above;
  const auto low_bytes = static_cast<double>(low.weight_bytes);
  const double part = (bytes - low_bytes) / (static_cast<double>(high.weight_bytes) - low_bytes);
  const double seconds = seconds_of(low) + part * (seconds_of(high) - seconds_of(low));
  return std::max(seconds, bytes / high.bytes_per_s);
}

// Between two measured numbers of rows, the line; beyond the last, the line through the last two.
double seconds_at(const std::vector<LinearRate>& rates, double rows, double bytes) {
  double low_rows = 0, low_s = 0, high_rows = 0, high_s = 0;
  for (size_t begin = 0; begin < rates.size();) {
    size_t end = begin;
    while (end < rates.size() && rates[end].rows == rates[begin].rows) ++end;
    low_rows = high_rows;
    low_s = high_s;
    high_rows = static_cast<double>(rates[begin].rows);
    high_s = seconds_at({rates.data() + begin, end - begin}, bytes);
    begin = end;
    if (high_rows >= rows) break;
  }
  if (low_rows == 0) return high_s;
  const double slope = (high_s - low_s) / (high_rows - low_rows);
  return high_s + (rows - high_rows) * std::max(slope, 0.0);
}

}  // namespace

double linear_seconds(const std::vector<LinearRate>& rates, double rows, double bytes,
                      double parameters) {
  CHECK(!rates.empty(), "no rates");
  // Reading follows the bytes; what more rows take beyond that follows the parameters.
  const double like_measured = parameters * kLinearRateBits / 8;
  const double one_row_s = seconds_at(rates, 1, like_measured);
  const double all_rows_s = seconds_at(rates, rows, like_measured);
  return seconds_at(rates, 1, bytes) + std::max(0.0, all_rows_s - one_row_s);
}

}  // namespace shoehorn

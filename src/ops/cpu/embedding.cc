#include "ops/embedding.h"

#include "ops/cpu/share.h"

namespace shoehorn {

void embedding(ThreadPool& pool, const Weight& table, std::span<const int32_t> tokens,
               const Tensor& out) {
  const auto m = static_cast<int64_t>(tokens.size());
  CHECK(out.rows() == m && out.columns() == table.columns, "out [{}, {}], {} tokens of {}",
        out.rows(), out.columns(), m, table.columns);
  share_work(pool, m, table.columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int32_t token = tokens[static_cast<size_t>(i)];
      CHECK(0 <= token && token < table.rows, "token {} of a table of {}", token, table.rows);
      dequantize_row(table, token, out.row<float>(i));
    }
  });
}

Cost embedding_cost(const Weight& table, int64_t m) {
  const double numbers = static_cast<double>(m) * static_cast<double>(table.columns);
  return {.bytes = numbers * (bits_per_weight(table.format) / 8 + 4), .flops = numbers};
}

}  // namespace shoehorn

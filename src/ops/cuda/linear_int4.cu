// Kernels of linear_few_rows.cuh for codes of 4 bits.
#include "ops/cuda/linear_few_rows.cuh"

namespace shoehorn {

FewRowsKernels few_rows_kernels_4(const Format& format) {
  if (format.meaning == CodeMeaning::iq4nl) {
    return few_rows_kernels_for<4, CodeMeaning::iq4nl>(format);
  }
  return format.has_minimum() ? few_rows_kernels_for<4, CodeMeaning::with_minimum>(format)
                              : few_rows_kernels_for<4, CodeMeaning::symmetric>(format);
}

}  // namespace shoehorn

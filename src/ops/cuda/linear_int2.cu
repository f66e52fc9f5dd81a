// Kernels of linear_few_rows.cuh for codes of 2 bits.
#include "ops/cuda/linear_few_rows.cuh"

namespace shoehorn {

FewRowsKernels few_rows_kernels_2(const Format& format) {
  return format.has_minimum() ? few_rows_kernels_for<2, CodeMeaning::with_minimum>(format)
                              : few_rows_kernels_for<2, CodeMeaning::symmetric>(format);
}

}  // namespace shoehorn

// Kernels of linear_few_rows.cuh for codes of 6 bits.
#include "ops/cuda/linear_few_rows.cuh"

namespace shoehorn {

FewRowsKernels few_rows_kernels_6(const Format& format) {
  return format.has_minimum() ? few_rows_kernels_for<6, CodeMeaning::with_minimum>(format)
                              : few_rows_kernels_for<6, CodeMeaning::symmetric>(format);
}

}  // namespace shoehorn

// Kernels of linear_few_rows.cuh for codes of 2 bits.
#include "ops/cuda/linear_few_rows.cuh"

namespace shoehorn {

FewRowsLauncher few_rows_launcher_2(const Format& format) {
  return format.has_minimum() ? few_rows_launcher_of<2, CodeMeaning::with_minimum>(format)
                              : few_rows_launcher_of<2, CodeMeaning::symmetric>(format);
}

}  // namespace shoehorn

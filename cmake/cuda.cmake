# CUDA is used where its toolkit is found; without it the CPU engine is complete.
#
#   -DSHOEHORN_CUDA=ON|OFF|AUTO             AUTO: on where there is an nvcc
#   -DSHOEHORN_CUDA_ARCHITECTURES=80;86;89;90;120   what a release ships; short by default: the card
#                                           of this machine, or the one that kernels are tuned on
set(SHOEHORN_CUDA AUTO CACHE STRING "Build the CUDA bodies: ON, OFF, or AUTO")
set(SHOEHORN_CUDA_ARCHITECTURES "" CACHE STRING "CUDA architectures; empty: this machine's, or 90")

if(SHOEHORN_CUDA STREQUAL AUTO)
  find_program(NVCC nvcc PATHS /usr/local/cuda/bin)
  if(NVCC)
    set(SHOEHORN_CUDA ON)
  else()
    set(SHOEHORN_CUDA OFF)
  endif()
endif()
if(NOT SHOEHORN_CUDA)
  message(STATUS "CUDA: off; the program will compute on the CPU alone")
  return()
endif()

if(NVCC)
  set(CMAKE_CUDA_COMPILER ${NVCC})
endif()
if(SHOEHORN_CUDA_ARCHITECTURES STREQUAL "")
  find_program(NVIDIA_SMI nvidia-smi)
  if(NVIDIA_SMI)
    set(SHOEHORN_CUDA_ARCHITECTURES native)
  else()
    set(SHOEHORN_CUDA_ARCHITECTURES 90)
  endif()
endif()
set(CMAKE_CUDA_ARCHITECTURES ${SHOEHORN_CUDA_ARCHITECTURES})
enable_language(CUDA)
# CMake 3.25 knows no C++20 for nvcc 13, so the flag is ours (settings.cmake).
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "")
find_package(CUDAToolkit REQUIRED)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

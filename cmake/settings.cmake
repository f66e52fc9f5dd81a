# Compiler settings that hold for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)  # TRY uses statement expressions
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3")  # CHECK is always on, so NDEBUG would change nothing of ours

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# For a compiler that warns of more than ours do: cmake --compile-no-warning-as-error.
set(CMAKE_COMPILE_WARNING_AS_ERROR ON)

add_library(shoehorn_settings INTERFACE)
set(WARNINGS -Wall -Wextra -Wno-psabi
    -Wno-missing-field-initializers  # designated initialisers leave defaults out
    # g++ 12 and 13 see overlapping copies in "a" + string: gcc.gnu.org/PR105651
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    -fno-math-errno)
# Kernels are checked by nvcc's own front end; its host code is generated. fmt 9 needs the macro.
set(CUDA_FLAGS -std=c++20 -DFMT_USE_CONSTEXPR=1 -Xcompiler=-Wall -Xcompiler=-Wno-psabi -lineinfo
               --expt-relaxed-constexpr --extended-lambda)
target_compile_options(shoehorn_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${WARNINGS}>"
                                                   "$<$<COMPILE_LANGUAGE:CUDA>:${CUDA_FLAGS}>")
target_include_directories(shoehorn_settings INTERFACE ${CMAKE_SOURCE_DIR}/src)

if(SHOEHORN_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX,C>:-fsanitize=${SHOEHORN_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX,C>:-fno-omit-frame-pointer>)
  add_link_options(-fsanitize=${SHOEHORN_SANITIZE})
  if(SHOEHORN_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
if(SHOEHORN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

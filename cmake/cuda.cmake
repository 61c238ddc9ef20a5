# fastconv._cuda, the module of CUDA kernels. FASTCONV_CUDA:
#   AUTO   built where this machine has an NVIDIA driver and an nvcc that works
#   ON     built, or the configuration fails
#   OFF    not built
# nvcc: CMAKE_CUDA_COMPILER or CUDACXX where set, else the first that works of PATH, CUDA_PATH, /usr/local/cuda and
# the packages of PyPI beside the Python that builds.
set(FASTCONV_CUDA AUTO CACHE STRING "CUDA kernels: AUTO, ON or OFF")
if(NOT FASTCONV_CUDA MATCHES "^(AUTO|ON|OFF|TRUE|FALSE|YES|NO|1|0)$")
  message(FATAL_ERROR "FASTCONV_CUDA must be AUTO, ON or OFF, not ${FASTCONV_CUDA}")
endif()

set(FASTCONV_DRIVER_TRACES /proc/driver/nvidia/version /dev/nvidiactl /usr/lib/wsl/lib/libcuda.so.1
    CACHE STRING "Files of which one is there where an NVIDIA driver is")

set(cuda_minimum 12.8)   # the first that knows compute capability 12.0
set(cuda_packages "cuda-toolkit[nvcc,cudart,cccl,crt,nvvm]==13.0.*")   # of one version, or they do not fit together

function(fastconv_nvcc_candidates result)
  if(CMAKE_CUDA_COMPILER)
    set(found ${CMAKE_CUDA_COMPILER})
  elseif(DEFINED ENV{CUDACXX})
    set(found $ENV{CUDACXX})
  else()
    set(found "")
    foreach(folder ENV_PATH $ENV{CUDA_PATH} $ENV{CUDA_HOME} /usr/local/cuda ${Python_SITELIB}/nvidia/cu13)
      if(folder STREQUAL "ENV_PATH")
        find_program(nvcc NAMES nvcc NO_CACHE)
      else()
        find_program(nvcc NAMES nvcc PATHS ${folder}/bin NO_DEFAULT_PATH NO_CACHE)
      endif()
      if(nvcc)
        list(APPEND found ${nvcc})
      endif()
      unset(nvcc)
    endforeach()
    list(REMOVE_DUPLICATES found)
  endif()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

# Sets ${reason} to why this nvcc cannot be used, to nothing where it can.
function(fastconv_try_nvcc nvcc reason)
  execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT text MATCHES "release ([0-9]+[.][0-9]+)")
    set(${reason} "does not run" PARENT_SCOPE)
    return()
  endif()
  if(CMAKE_MATCH_1 VERSION_LESS cuda_minimum)
    set(${reason} "is ${CMAKE_MATCH_1}, needed is ${cuda_minimum} or newer" PARENT_SCOPE)
    return()
  endif()
  # PyPI's packages have lib/ where nvcc looks for lib64/.
  get_filename_component(toolkit ${nvcc} DIRECTORY)
  set(ENV{LIBRARY_PATH} "${toolkit}/../lib:$ENV{LIBRARY_PATH}")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/cuda_probe)
  file(WRITE ${source}.cu "#include <cuda_runtime.h>\n__global__ void kernel() {}\n"
       "int main() { kernel<<<1, 1>>>(); return cudaDeviceSynchronize(); }\n")
  execute_process(
    COMMAND ${nvcc} -ccbin ${CMAKE_CUDA_HOST_COMPILER} -std=c++17 -arch=sm_80 ${source}.cu -o ${source}
    OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    string(REGEX MATCH "[^\n]*([Ee]rror|unsupported|not found|cannot|No such)[^\n]*" line "${errors}")
    set(${reason} "cannot build a program (${line})" PARENT_SCOPE)
    return()
  endif()
  set(${reason} "" PARENT_SCOPE)
endfunction()

function(fastconv_add_cuda_module)
  # Every source there: one that is forgotten in a list would be missed by nobody without a device.
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS csrc/cuda/*.cu csrc/cuda/*.cpp csrc/core/*.cpp)
  list(FILTER sources EXCLUDE REGEX "core/(memory|backend)[.]cpp$")   # of the CPU, and of who registers
  pybind11_add_module(_cuda NO_EXTRAS ${sources})
  target_include_directories(_cuda PRIVATE csrc ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON)
  target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O2 -Wall -Wextra>
                         $<$<COMPILE_LANGUAGE:CUDA>:-O3 -Xcompiler=-Wall -Xfatbin=-compress-all>)
  list(JOIN CMAKE_CUDA_ARCHITECTURES ", " architectures)
  set_source_files_properties(csrc/cuda/module.cpp PROPERTIES COMPILE_DEFINITIONS
                              FASTCONV_CUDA_ARCHITECTURES="${architectures}")
  install(TARGETS _cuda DESTINATION fastconv)
endfunction()

if(FASTCONV_CUDA STREQUAL "AUTO")
  set(wanted OFF)
  foreach(trace ${FASTCONV_DRIVER_TRACES})
    if(EXISTS ${trace})
      set(wanted ON)
    endif()
  endforeach()
  set(why_not "no NVIDIA driver here; FASTCONV_CUDA=ON builds it all the same")
else()
  set(wanted ${FASTCONV_CUDA})
  set(why_not "FASTCONV_CUDA=${FASTCONV_CUDA}")
endif()
if(NOT wanted)
  message(STATUS "CUDA: not built (${why_not})")
  return()
endif()

if(NOT CMAKE_CUDA_HOST_COMPILER)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
fastconv_nvcc_candidates(candidates)
set(faults "")
foreach(nvcc ${candidates})
  fastconv_try_nvcc(${nvcc} fault)
  if(NOT fault)
    set(CMAKE_CUDA_COMPILER ${nvcc})
    break()
  endif()
  list(APPEND faults "${nvcc} ${fault}")
endforeach()
list(JOIN faults ", " why_not)
if(CMAKE_CUDA_COMPILER AND NOT fault)
  set(why_not "")
elseif(NOT candidates)
  set(why_not "there is no nvcc")
endif()
if(why_not AND FASTCONV_CUDA STREQUAL "AUTO")
  message(STATUS "CUDA: not built (${why_not})")
  return()
elseif(why_not)
  message(FATAL_ERROR "FASTCONV_CUDA=ON, but ${why_not}. Install a CUDA toolkit of ${cuda_minimum} or newer, or "
                      "pip install \"${cuda_packages}\", or set CUDACXX to an nvcc.")
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 100-real 120)
endif()
get_filename_component(toolkit ${CMAKE_CUDA_COMPILER} DIRECTORY)
set(ENV{LIBRARY_PATH} "${toolkit}/../lib:$ENV{LIBRARY_PATH}")
enable_language(CUDA)
fastconv_add_cuda_module()
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

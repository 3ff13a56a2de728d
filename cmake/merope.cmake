# Compile flags that all targets share. The numeric flags are necessary for bit-identical results:
# no contraction of a*b+c into an FMA (FMA only where the source has one), no fast-math, no tuning
# to the build machine.
add_library(merope_flags INTERFACE)
target_compile_options(merope_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor $<$<BOOL:${MEROPE_WERROR}>:-Werror> -ffp-contract=off -fno-fast-math)
target_compile_definitions(merope_flags INTERFACE MEROPE_VERSION="${PROJECT_VERSION}")

if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # libstdc++ 12's std::stable_sort calls a function that libstdc++ marks as deprecated.
  target_compile_options(merope_flags INTERFACE -Wno-deprecated-declarations)
endif()

set(MEROPE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them (address,undefined or thread)")
if(MEROPE_SANITIZE)
  target_compile_options(merope_flags INTERFACE
    -fsanitize=${MEROPE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(merope_flags INTERFACE -fsanitize=${MEROPE_SANITIZE})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND (MEROPE_SANITIZE OR CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13))
  # g++ warns falsely in instrumented code, and from version 13 on in copies of a std::variant. The
  # presets without sanitizers keep the warning with g++ 12.
  target_compile_options(merope_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(MEROPE_FUZZ)
  target_compile_options(merope_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# merope_layer(name [USES layer...] [LIBS target...]): makes one static library of src/name/**.cc.
function(merope_layer name)
  cmake_parse_arguments(ARG "" "" "USES;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT sources)
    add_library(merope_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(merope_${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  # A source of kernels includes itself once per instruction set. Kernels and Unicode tables are
  # large and compile alone.
  if(MEROPE_UNITY AND sources)
    set(alone ${sources})
    list(FILTER alone INCLUDE REGEX "/kernels/|/unicode_tables")
    set_source_files_properties(${alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(merope_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # -Wsubobject-linkage would warn about a source's own classes.
    target_compile_options(merope_${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  target_include_directories(merope_${name} ${scope} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(merope_${name} ${scope} merope_flags ${ARG_LIBS})
  foreach(layer ${ARG_USES})
    target_link_libraries(merope_${name} ${scope} merope_${layer})
  endforeach()
endfunction()

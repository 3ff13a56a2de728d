# xgrammar, from its sources (scripts/fetch-xgrammar) as a static library. Its own CMakeLists.txt is not for embedding: it turns
# on warnings as errors and link-time optimization for whatever comes after.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-xgrammar
  OUTPUT_VARIABLE xgrammar_folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(GLOB xgrammar_sources ${xgrammar_folder}/cpp/*.cc ${xgrammar_folder}/cpp/converter_ext/*.cc
  ${xgrammar_folder}/cpp/support/*.cc)
# Its compiler asks us before each place of a grammar whether to go on (BeforePlace, in engine/constraint.cc): nothing else can
# stop it.
set(xgrammar_compiler ${CMAKE_CURRENT_BINARY_DIR}/xgrammar_grammar_compiler.cc)
set(xgrammar_call "      add_task_adaptive_token_mask(cur_stack_element, rule_id == root_rule_id);")
file(READ ${xgrammar_folder}/cpp/grammar_compiler.cc xgrammar_text)
string(FIND "${xgrammar_text}" "${xgrammar_call}" xgrammar_place)
if(xgrammar_place EQUAL -1)
  message(FATAL_ERROR "xgrammar's grammar_compiler.cc: expected the call of add_task_adaptive_token_mask, found none")
endif()
string(REPLACE "${xgrammar_call}" "      BeforePlace();\n${xgrammar_call}" xgrammar_text "${xgrammar_text}")
file(CONFIGURE OUTPUT ${xgrammar_compiler} CONTENT "namespace xgrammar { void BeforePlace(); }\n@xgrammar_text@" @ONLY)
list(TRANSFORM xgrammar_sources REPLACE ".*/cpp/grammar_compiler.cc" ${xgrammar_compiler})
add_library(xgrammar STATIC EXCLUDE_FROM_ALL ${xgrammar_sources})
target_include_directories(xgrammar SYSTEM
  PUBLIC ${xgrammar_folder}/include ${xgrammar_folder}/3rdparty/dlpack/include
  PRIVATE ${xgrammar_folder}/3rdparty/picojson ${xgrammar_folder}/cpp)
# What it would log, and the errors it throws, go where we say: engine/constraint.cc.
target_compile_definitions(xgrammar
  PRIVATE XGRAMMAR_LOG_CUSTOMIZE=1 XGRAMMAR_ENABLE_CPPTRACE=0 XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
target_compile_options(xgrammar PRIVATE -w -O2)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
set_target_properties(xgrammar PROPERTIES CXX_STANDARD 17 CXX_CLANG_TIDY "" UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
# Not for undefined behaviour: that of others is not ours to mend.
string(REPLACE ",undefined" "" xgrammar_sanitize "${MEROPE_SANITIZE}")
if(xgrammar_sanitize)
  target_compile_options(xgrammar PRIVATE -O1
    -fsanitize=${xgrammar_sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()

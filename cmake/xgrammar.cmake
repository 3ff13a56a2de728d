# Builds xgrammar as a static library from its sources (scripts/fetch-xgrammar). xgrammar's own
# CMakeLists.txt is not made for embedding: it turns on warnings as errors and link-time
# optimization for every target that follows.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-xgrammar
  OUTPUT_VARIABLE xgrammar_folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(GLOB xgrammar_sources ${xgrammar_folder}/cpp/*.cc ${xgrammar_folder}/cpp/converter_ext/*.cc
  ${xgrammar_folder}/cpp/support/*.cc)
# xgrammar has no bound on its time. The changes below make xgrammar call merope, which may stop the
# work by an exception: before each place of a grammar that xgrammar compiles
# (grammar/grammar_compiler.cc), and while xgrammar follows a text (grammar/grammar_constraint.cc).
function(xgrammar_ask file function) # [LINE CALL...]: inserts the call after the line
  set(changed ${CMAKE_CURRENT_BINARY_DIR}/xgrammar_${file})
  file(READ ${xgrammar_folder}/cpp/${file} text)
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 2 ${last} 2)
    math(EXPR j "${i} + 1")
    string(FIND "${text}" "${ARGV${i}}" place)
    if(place EQUAL -1)
      message(FATAL_ERROR "xgrammar's ${file}: expected '${ARGV${i}}', found none")
    endif()
    string(REPLACE "${ARGV${i}}" "${ARGV${i}} ${ARGV${j}}" text "${text}")
  endforeach()
  file(CONFIGURE OUTPUT ${changed} CONTENT "#include <cstdint>\nnamespace xgrammar { ${function} }\n@text@" @ONLY)
  list(TRANSFORM xgrammar_sources REPLACE ".*/cpp/${file}" ${changed})
  set(xgrammar_sources ${xgrammar_sources} PARENT_SCOPE)
endfunction()
xgrammar_ask(grammar_compiler.cc "void BeforePlace();"
  "      if (!rule_fsm->GetFsm().IsScanableState(i)) {\n        continue;\n      }" "BeforePlace();")
xgrammar_ask(earley_parser.cc "void BeforeWork(int64_t amount);"
  "const auto& parent_states_map = rule_id_to_completable_states_[state.rule_start_pos];" "BeforeWork(parent_states_map.size());"
  "const auto& latest_states = scanable_state_history_[scanable_state_history_.size() - 1];" "BeforeWork(latest_states.size());"
  "const auto state = std::move(tmp_process_state_queue_.front());" "BeforeWork(1);"
  "const auto state = tmp_process_state_queue_.front();" "BeforeWork(1);"
  "const auto in_vec = [&](const ParserState& state_) {" "BeforeWork(1 + rule_id_to_completable_states_.Back().size() / 16);")
xgrammar_ask(grammar_matcher.cc "void BeforeWork(int64_t amount);"
  "const auto& uncertain_indices = adaptive_token_mask.uncertain_indices;" "BeforeWork(uncertain_indices.size() / 8);")
add_library(xgrammar STATIC EXCLUDE_FROM_ALL ${xgrammar_sources})
target_include_directories(xgrammar SYSTEM
  PUBLIC ${xgrammar_folder}/include ${xgrammar_folder}/3rdparty/dlpack/include
  PRIVATE ${xgrammar_folder}/3rdparty/picojson ${xgrammar_folder}/cpp)
# xgrammar passes its log messages and fatal errors to functions in grammar/grammar_compiler.cc.
target_compile_definitions(xgrammar
  PRIVATE XGRAMMAR_LOG_CUSTOMIZE=1 XGRAMMAR_ENABLE_CPPTRACE=0 XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
target_compile_options(xgrammar PRIVATE -w -O2)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
set_target_properties(xgrammar PROPERTIES CXX_STANDARD 17 CXX_CLANG_TIDY "" UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
# No check for undefined behaviour in xgrammar: merope cannot correct xgrammar's code.
string(REPLACE ",undefined" "" xgrammar_sanitize "${MEROPE_SANITIZE}")
if(xgrammar_sanitize)
  target_compile_options(xgrammar PRIVATE -O1
    -fsanitize=${xgrammar_sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()

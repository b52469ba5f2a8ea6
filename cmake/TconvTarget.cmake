# One function for each kind of target. Includes start at the repository root.

# tconv_room(name SOURCES ... [DEPS ...] [PRIVATE_DEPS ...])
# A room of the server: the static library tconv_<name>. DEPS are what its
# headers show, PRIVATE_DEPS what only its sources use.
function(tconv_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(tconv_${name} STATIC ${ARG_SOURCES})
  target_include_directories(tconv_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(tconv_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS} tconv_warnings)
endfunction()

# tconv_test(path/to/name_test.cc LABELS ... [DEPS ...] [ARGS ...] [TIMEOUT seconds])
# A GoogleTest executable named after its path below tests/.
function(tconv_test source)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;DEPS;ARGS" ${ARGN})
  string(REGEX REPLACE "\\.cc$" "" name ${source})
  string(REPLACE "/" "." name ${name})
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/${source})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main tconv_warnings)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # What is tested is optimized; tests themselves would only take longer to compile, with
  # sanitizers by half as much again.
  target_compile_options(${name} PRIVATE $<IF:$<CONFIG:Release>,-O1,-O0>)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

# tconv_fuzzer(name_fuzz.cc [DEPS ...])
# A libFuzzer executable from tests/fuzz, called name_fuzz; runs without
# arguments until it finds something.
function(tconv_fuzzer source)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  string(REGEX REPLACE "\\.cc$" "" name ${source})
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} tconv_warnings)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()

# The code under test must be instrumented as well as the fuzzers themselves.
if(TCONV_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TCONV_BUILD_FUZZERS needs Clang: set CMAKE_CXX_COMPILER=clang++")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

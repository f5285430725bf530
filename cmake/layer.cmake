# layer(): declares one folder of src/ with what it may use.
#
#   layer(store
#     USES base os epoch keydir bitcask      # the only folders whose headers and objects it sees
#     EXTERNAL raft                          # libraries of which it is the sole user
#     SOURCES tx.c …                         # relative to src/<name>/
#     TESTS tx_test.c …)                     # relative to test/unit/<name>/, one executable each
#
# Every layer is an object library. Its unit tests link all of its objects and only the objects
# of the layers it uses, so that a call upwards is an undefined symbol at link time (the link proof).
# tools/check_layers reads these same calls and holds every #include against them.

define_property(GLOBAL PROPERTY FERRIC_LAYERS)

function(layer name)
  cmake_parse_arguments(L "" "" "USES;EXTERNAL;SOURCES;TESTS;SUPPORT" ${ARGN})
  set(sources "")
  foreach(source IN LISTS L_SOURCES)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/src/${name}/${source})
  endforeach()
  add_library(layer_${name} OBJECT ${sources})
  target_include_directories(layer_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(layer_${name} PRIVATE ${FERRIC_WARNINGS})
  foreach(external IN LISTS L_EXTERNAL)
    target_link_libraries(layer_${name} PRIVATE ${external})
  endforeach()
  set_property(TARGET layer_${name} PROPERTY LAYER_USES "${L_USES}")
  set_property(TARGET layer_${name} PROPERTY LAYER_EXTERNAL "${L_EXTERNAL}")
  set_property(GLOBAL APPEND PROPERTY FERRIC_LAYERS ${name})

  foreach(test IN LISTS L_TESTS)
    get_filename_component(stem ${test} NAME_WE)
    string(REGEX REPLACE "_test$" "" subject ${stem})
    layer_test(unit.${name}.${subject}
      SOURCES ${PROJECT_SOURCE_DIR}/test/unit/${name}/${test}
      LAYERS ${name} ${L_USES}
      SUPPORT ${L_SUPPORT})
  endforeach()
endfunction()

# Links the objects of the named layers, with their external libraries, into `target`.
function(link_layers target)
  foreach(used IN LISTS ARGN)
    target_link_libraries(${target} PRIVATE $<TARGET_OBJECTS:layer_${used}>)
    add_dependencies(${target} layer_${used})
    get_property(externals TARGET layer_${used} PROPERTY LAYER_EXTERNAL)
    target_link_libraries(${target} PRIVATE ${externals})
  endforeach()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE Threads::Threads m)
endfunction()

# The files of test/support/ behind the given names: <name>.c and what was split off it, <name>_*.c.
function(support_sources out)
  set(sources "")
  foreach(name IN LISTS ARGN)
    file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/support/${name}_*.c)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/test/support/${name}.c ${parts})
  endforeach()
  set(${out} "${sources}" PARENT_SCOPE)
endfunction()

# A cmocka program registered with ctest. SUPPORT names files of test/support/ without ".c".
function(layer_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LAYERS;SUPPORT;ARGS;LABELS" ${ARGN})
  string(REPLACE "." "_" target ${name})
  support_sources(support ${T_SUPPORT})
  add_executable(${target} ${T_SOURCES} ${support})
  target_compile_options(${target} PRIVATE ${FERRIC_TEST_WARNINGS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test)
  link_layers(${target} ${T_LAYERS})
  target_link_libraries(${target} PRIVATE cmocka)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test)
  add_test(NAME ${name} COMMAND ${target} ${T_ARGS})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  string(REGEX MATCH "^[a-z]+" family ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${family};${T_LABELS}"
    ENVIRONMENT "${FERRIC_SANITIZER_ENV}")
endfunction()

# A fuzz target: test/fuzz/fuzz_<name>.c with its corpus in test/fuzz/corpus/<name>/. In the fuzz
# preset a libFuzzer program; elsewhere a test that replays the corpus.
function(fuzz_target name)
  cmake_parse_arguments(F "" "" "LAYERS;SUPPORT" ${ARGN})
  set(target fuzz_${name})
  set(corpus ${PROJECT_SOURCE_DIR}/test/fuzz/corpus/${name})
  support_sources(support ${F_SUPPORT})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/test/fuzz/fuzz_${name}.c ${support})
  target_compile_options(${target} PRIVATE ${FERRIC_TEST_WARNINGS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test)
  link_layers(${target} ${F_LAYERS})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test)
  set(timeout 300)
  if(CMAKE_BUILD_TYPE STREQUAL "Fuzz")
    # What it finds stays in the build folder and is tried first the next time.
    set(found ${PROJECT_BINARY_DIR}/found/${name})
    file(MAKE_DIRECTORY ${found})
    set(seconds 60)
    if(DEFINED ENV{FUZZ_SECONDS})
      set(seconds $ENV{FUZZ_SECONDS})
    endif()
    math(EXPR timeout "${seconds} + 300")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND ${target} -max_total_time=${seconds} -timeout=20
      -rss_limit_mb=2048 -artifact_prefix=${found}/ ${found} ${corpus})
  else()
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test/support/fuzz_main.c)
    add_test(NAME fuzz.${name} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout}
    ENVIRONMENT "${FERRIC_SANITIZER_ENV}")
endfunction()

# The checks of tools/ and the tests with real clients, as ctests.

# Debian's Python modules belong to Debian's python3, whichever python3 comes first in the PATH.
find_program(FERRIC_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(FERRIC_PYTHON python3 REQUIRED)

# They look at sources and at the objects of the dev build, so one preset is enough.
if(CMAKE_BUILD_TYPE STREQUAL "Dev")
  file(RELATIVE_PATH build ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  add_test(NAME check.layers COMMAND ${FERRIC_PYTHON} tools/check_layers)
  add_test(NAME check.style COMMAND ${FERRIC_PYTHON} tools/check_style)
  add_test(NAME check.symbols COMMAND ${FERRIC_PYTHON} tools/check_symbols --build ${build})
  add_test(NAME check.checks COMMAND ${FERRIC_PYTHON} tools/check_checks)
  add_test(NAME check.conformance COMMAND ${FERRIC_PYTHON} tools/conformance.py --check)
  set_tests_properties(check.layers check.style check.symbols check.checks check.conformance
    PROPERTIES
    LABELS check TIMEOUT 120 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()

# e2e.<family> runs test/e2e/<family>/ against this preset's own server; e2e.<family>.threads does
# so with the components on threads of their own, whatever this machine's processors suggest.
set(other_placement "--io-threads 2 --shard-threads 2 --shards 3")
set(other_placement_families bitmap connection hyperloglog keyspace limits protocol pubsub server
  storage string transaction)

function(e2e_test name family args)
  add_test(NAME ${name} COMMAND ${FERRIC_PYTHON} -m pytest -q -p no:cacheprovider
    test/e2e/${family})
  set_tests_properties(${name} PROPERTIES
    LABELS e2e TIMEOUT 900 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    ENVIRONMENT "FERRIC_SERVER=$<TARGET_FILE:ferric-server>;FERRIC_ARGS=${args};PYTHONDONTWRITEBYTECODE=1;${FERRIC_SANITIZER_ENV}")
endfunction()

if(TARGET ferric-server)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/test/e2e
    ${PROJECT_SOURCE_DIR}/test/e2e/test_*.py ${PROJECT_SOURCE_DIR}/test/e2e/*.transcript)
  list(TRANSFORM files REPLACE "/.*" "")
  list(REMOVE_DUPLICATES files)
  foreach(family IN LISTS files)
    string(REGEX REPLACE "^test_|\\.py$" "" subject ${family})
    e2e_test(e2e.${subject} ${family} "")
    if(family IN_LIST other_placement_families)
      e2e_test(e2e.${subject}.threads ${family} "${other_placement}")
    endif()
  endforeach()
endif()

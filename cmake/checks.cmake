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
  set_tests_properties(check.layers check.style check.symbols check.checks PROPERTIES
    LABELS check TIMEOUT 120 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()

# e2e.<family> runs test/e2e/<family>/ against this preset's own server.
if(TARGET ferric-server)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/test/e2e
    ${PROJECT_SOURCE_DIR}/test/e2e/test_*.py ${PROJECT_SOURCE_DIR}/test/e2e/*.transcript)
  list(TRANSFORM files REPLACE "/.*" "")
  list(REMOVE_DUPLICATES files)
  foreach(family IN LISTS files)
    string(REGEX REPLACE "^test_|\\.py$" "" subject ${family})
    add_test(NAME e2e.${subject} COMMAND ${FERRIC_PYTHON} -m pytest -q -p no:cacheprovider
      test/e2e/${family})
    set_tests_properties(e2e.${subject} PROPERTIES
      LABELS e2e TIMEOUT 600 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      ENVIRONMENT "FERRIC_SERVER=$<TARGET_FILE:ferric-server>;PYTHONDONTWRITEBYTECODE=1;${FERRIC_SANITIZER_ENV}")
  endforeach()
endif()

# broken_test(): proof that a test would notice.
#
#   broken_test(broken.ack_unsynced BROKEN_ACK_UNSYNCED   # a switch of base/broken.h
#     TARGET sim_group_recovery                           # the test's program
#     EXPECT "acknowledged writes are lost")              # a regular expression
#
# Builds the program once more, in build/broken-<number of the switch>, with one promise broken, and
# wants it to fail in these words. Where something else judges what was built, COMMAND names it, run
# with the path of the program behind; it succeeds if it finds the promise broken.

if(CMAKE_SCRIPT_MODE_FILE)
  function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
    set(result ${result} PARENT_SCOPE)
    set(out "${out}" PARENT_SCOPE)
  endfunction()

  # One build's objects do for the others, nearly all.
  set(ENV{CCACHE_NOHASHDIR} 1)
  run(${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Dev
    -DFERRIC_BROKEN=${SWITCH})
  if(result EQUAL 0)
    run(${CMAKE_COMMAND} --build ${BUILD} -j 2 --target ${TARGET})
  endif()
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "it cannot be built with ${SWITCH}:\n${out}")
  endif()
  if(COMMAND)
    run(${COMMAND} ${BUILD}/${TARGET})
    message("${out}")
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${SWITCH} has not been noticed")
    endif()
    return()
  endif()
  run(${BUILD}/test/${TARGET})
  if(result EQUAL 0)
    message(FATAL_ERROR "${TARGET} has not noticed ${SWITCH}:\n${out}")
  elseif(NOT out MATCHES "${EXPECT}")
    message(FATAL_ERROR "${TARGET} fails for another reason than ${SWITCH}:\n${out}")
  endif()
  return()
endif()

function(broken_test name switch)
  cmake_parse_arguments(B "" "TARGET;EXPECT" "COMMAND" ${ARGN})
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Dev" OR FERRIC_BROKEN)
    return()
  endif()
  file(STRINGS ${PROJECT_SOURCE_DIR}/src/base/broken.h line REGEX "define ${switch} ")
  string(REGEX MATCH "[0-9]+" number "${line}")
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND}
    -D SOURCE=${PROJECT_SOURCE_DIR} -D BUILD=${PROJECT_SOURCE_DIR}/build/broken-${number}
    -D GENERATOR=${CMAKE_GENERATOR} -D SWITCH=${switch} -D TARGET=${B_TARGET}
    -D EXPECT=${B_EXPECT} -D "COMMAND=${B_COMMAND}"
    -P ${PROJECT_SOURCE_DIR}/cmake/broken.cmake)
  set_tests_properties(${name} PROPERTIES LABELS check TIMEOUT 900 PROCESSORS 2)
endfunction()

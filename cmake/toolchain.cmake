# Language, warnings, build types and external libraries.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_compile_definitions(_GNU_SOURCE)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Dev)
endif()

# For people, who are told which build has crashed.
string(TOLOWER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}" compiler)
string(REPLACE "gnu" "gcc" compiler "${compiler}")
string(TOLOWER "${CMAKE_BUILD_TYPE}" build_type)
add_compile_definitions(FERRIC_BUILD="${build_type}, ${compiler}")

set(frames -fno-omit-frame-pointer)
if(CMAKE_BUILD_TYPE STREQUAL "Dev")
  add_compile_options(-Og -g ${frames})
  add_compile_definitions(FERRIC_SLOW_ASSERTS)
elseif(CMAKE_BUILD_TYPE STREQUAL "Asan")
  add_compile_options(-O1 -g ${frames} -fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(FERRIC_SLOW_ASSERTS FERRIC_SANITIZED)
elseif(CMAKE_BUILD_TYPE STREQUAL "Tsan")
  add_compile_options(-O1 -g ${frames} -fsanitize=thread)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(FERRIC_SLOW_ASSERTS FERRIC_SANITIZED)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # Assertions stay on: nothing here defines NDEBUG, and base/assert.h would not look at it.
  set(CMAKE_C_FLAGS_RELEASE "")
  add_compile_options(-O2 -g -flto=auto -ffat-lto-objects)
  add_link_options(-O2 -flto=auto)
elseif(CMAKE_BUILD_TYPE STREQUAL "Fuzz")
  add_compile_options(-O1 -g ${frames} -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(FERRIC_SLOW_ASSERTS FERRIC_SANITIZED)
else()
  message(FATAL_ERROR "unknown build type '${CMAKE_BUILD_TYPE}': use a preset of CMakePresets.json")
endif()

# Proof that the tests would notice: see cmake/broken.cmake.
set(FERRIC_BROKEN "" CACHE STRING "A switch of base/broken.h: breaks one promise. Never shipped")
if(FERRIC_BROKEN)
  add_compile_definitions(FERRIC_BROKEN=${FERRIC_BROKEN})
endif()

set(FERRIC_SANITIZER_ENV "")
if(CMAKE_BUILD_TYPE STREQUAL "Asan")
  set(FERRIC_SANITIZER_ENV "ASAN_OPTIONS=detect_leaks=1:abort_on_error=1"
    "UBSAN_OPTIONS=print_stacktrace=1" "FERRIC_SANITIZED=1")
elseif(CMAKE_BUILD_TYPE STREQUAL "Tsan")
  set(FERRIC_SANITIZER_ENV "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1" "FERRIC_SANITIZED=1")
endif()

set(FERRIC_TEST_WARNINGS
  -Werror -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wvla -Wformat=2 -Wpointer-arith -Wundef -Wimplicit-fallthrough)
set(FERRIC_WARNINGS
  ${FERRIC_TEST_WARNINGS} -Wconversion -Wsign-conversion -Wcast-qual -Wswitch-enum
  -Wnull-dereference -Wdouble-promotion)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # With everything inlined gcc sees paths that the lists' invariants exclude.
  list(REMOVE_ITEM FERRIC_WARNINGS -Wnull-dereference)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # Sanitizers spread the stack out: only the builds that run without them are judged.
  if(CMAKE_BUILD_TYPE MATCHES "^(Dev|Release)$")
    list(APPEND FERRIC_WARNINGS -Wstack-usage=16384)
  endif()
else()
  list(APPEND FERRIC_WARNINGS -Wthread-safety)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(LIBRAFT REQUIRED IMPORTED_TARGET raft=0.22.1)
pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc>=5.2)

# jemalloc exports plain malloc in Debian's build and would hide the heap from the sanitizers.
set(FERRIC_ALLOCATOR "")
if(CMAKE_BUILD_TYPE MATCHES "^(Dev|Release)$")
  set(FERRIC_ALLOCATOR PkgConfig::JEMALLOC)
endif()

# The only place where compiler flags live for the CMake build.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(MIDWATCH_CCACHE ccache)
if(MIDWATCH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MIDWATCH_CCACHE})
endif()
find_program(MIDWATCH_MOLD mold)
if(MIDWATCH_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

include(Sanitizers)
include(Hardening)

# Some files of a library are compiled as one: what they include is read and
# instantiated once, a third of the time. So the names in their anonymous
# namespaces differ within a library. The debug preset and Bazel compile each
# file alone, which is quicker for a change and finds a missing include.
option(MIDWATCH_UNITY "Compile several files as one" ON)
set(CMAKE_UNITY_BUILD ${MIDWATCH_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 18)
if(MIDWATCH_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc takes a file that is included for a header, whose anonymous types would
  # differ in each file that includes it.
  add_compile_options(-Wno-subobject-linkage)
endif()

set(MIDWATCH_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor
    -Woverloaded-virtual -Wimplicit-fallthrough -Werror
    # Members left out of a designated initializer have their defaults.
    -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports members of coroutine frames and of moved-from variants as
  # "maybe uninitialized" once it inlines; clang and the sanitizers look for
  # the real ones.
  # Likewise "mismatched-new-delete": it sees half of Asio's allocator of
  # coroutine frames.
  list(APPEND MIDWATCH_WARNINGS -Wno-maybe-uninitialized
       -Wno-mismatched-new-delete)
endif()

# midwatch_cc_library(name SRCS ... HDRS ... DEPS ...): a static library
# midwatch::name. Headers are included by their path from the root.
function(midwatch_cc_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;HDRS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(midwatch_${name} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_compile_options(midwatch_${name} PRIVATE
      ${MIDWATCH_WARNINGS} ${MIDWATCH_LOCK_WARNINGS})
    target_include_directories(midwatch_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(midwatch_${name} PUBLIC ${ARG_DEPS})
  else()
    add_library(midwatch_${name} INTERFACE ${ARG_HDRS})
    target_include_directories(midwatch_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(midwatch_${name} INTERFACE ${ARG_DEPS})
  endif()
  add_library(midwatch::${name} ALIAS midwatch_${name})
endfunction()

# midwatch_cc_binary(name SRCS ... DEPS ...): an executable called name.
function(midwatch_cc_binary name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE
    ${MIDWATCH_WARNINGS} ${MIDWATCH_LOCK_WARNINGS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # glibc's malloc takes a quarter of a busy worker's CPU: it holds thousands of
  # long-lived buffers between which short-lived ones come and go. Sanitizers
  # bring one of their own.
  if(NOT MIDWATCH_INSTRUMENT)
    target_link_libraries(${name} PRIVATE PkgConfig::jemalloc)
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
endfunction()

# Leaves out optimisation, a third or more of the time to compile, and the line
# tables, another tenth: for what runs in tests alone. What they test is in
# libraries, which have both.
function(midwatch_compile_quickly target)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O0 -g0 -U_FORTIFY_SOURCE)
  endif()
endfunction()

# Optimises for the compiler's time, a quarter less: for what waits for people or
# for a server.
function(midwatch_compile_for_people target)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# midwatch_cc_test(name SRCS ... DEPS ...): a GoogleTest binary that ctest runs
# whole, as one test of that name, labelled with its folder.
function(midwatch_cc_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SRCS;DEPS" ${ARGN})
  midwatch_cc_binary(${name} SRCS ${ARG_SRCS}
    DEPS ${ARG_DEPS} midwatch::testing GTest::gtest_main)
  midwatch_compile_quickly(${name})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(MIDWATCH_INSTRUMENT)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
                       LABELS ${folder})
endfunction()

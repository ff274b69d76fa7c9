# What the presets clang, asan, tsan and coverage build with; all use clang,
# whose instrumentation of coroutines is sound where gcc 12's is not always,
# and which compiles them faster.

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Checks ABSL_GUARDED_BY and its like, which gcc ignores.
  set(MIDWATCH_LOCK_WARNINGS -Wthread-safety)
endif()

set(MIDWATCH_INSTRUMENT "" CACHE STRING
    "What to build into everything: nothing, address, thread or coverage")
set_property(CACHE MIDWATCH_INSTRUMENT PROPERTY STRINGS
             "" address thread coverage)

if(MIDWATCH_INSTRUMENT STREQUAL "address")
  # Null pointers are ASan's to find, Debian's libraries have no vptr checks,
  # and the rest that is left out doubles the time to compile.
  set(instrument -fsanitize=address,undefined -fno-sanitize-recover=undefined
      -fno-sanitize=null,alignment,object-size,function,vptr)
elseif(MIDWATCH_INSTRUMENT STREQUAL "thread")
  set(instrument -fsanitize=thread)
elseif(MIDWATCH_INSTRUMENT STREQUAL "coverage")
  set(instrument -fprofile-instr-generate -fcoverage-mapping)
elseif(MIDWATCH_INSTRUMENT)
  message(FATAL_ERROR "MIDWATCH_INSTRUMENT=${MIDWATCH_INSTRUMENT}: "
          "address, thread or coverage")
endif()

if(MIDWATCH_INSTRUMENT)
  add_compile_options(${instrument} -fno-omit-frame-pointer)
  add_link_options(${instrument})
endif()
if(MIDWATCH_INSTRUMENT MATCHES "address|thread")
  # Asio keeps the memory of finished coroutines for the next ones, where the
  # sanitizers would not see one used after its end.
  add_compile_definitions(BOOST_ASIO_DISABLE_SMALL_BLOCK_RECYCLING
                          _GLIBCXX_ASSERTIONS)
endif()

# midwatch_tests_link_grpc(name...): those tests get gRPC's suppressions under
# TSan, where the others have none but tests/tsan.supp.
function(midwatch_tests_link_grpc)
  set_tests_properties(${ARGN} PROPERTIES ENVIRONMENT
    "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan_grpc.supp")
endfunction()

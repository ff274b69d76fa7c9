# Hardening of what is shipped: an optimised build that nothing is built into.
# _FORTIFY_SOURCE needs the optimiser, and the sanitizers bring better checks.

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT MIDWATCH_INSTRUMENT)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
    -D_GLIBCXX_ASSERTIONS -fstack-protector-strong -fstack-clash-protection
    -fcf-protection -fPIE)
  add_link_options(-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
  set(MIDWATCH_HARDENED ON)
endif()

# midwatch_hardening_test(target): reads the flags' traces in the binary.
function(midwatch_hardening_test target)
  if(MIDWATCH_HARDENED)
    add_test(NAME hardening_test
      COMMAND /usr/bin/python3
              ${PROJECT_SOURCE_DIR}/tests/tidy/hardening_test.py
              $<TARGET_FILE:${target}>)
    set_tests_properties(hardening_test PROPERTIES LABELS tidy)
  endif()
endfunction()

# Helpers every module uses: pz_module() for a static library of one floor, pz_test() for a cmocka test.
find_package(Threads REQUIRED)

add_library(pz_flags INTERFACE)
target_compile_definitions(pz_flags INTERFACE _GNU_SOURCE PZ_VERSION="${PROJECT_VERSION}")
target_compile_options(pz_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wvla -Wundef -Wno-unused-parameter -Werror=unused-result -ffp-contract=off -fno-math-errno)
if(PZ_WERROR)
  target_compile_options(pz_flags INTERFACE -Werror)
endif()
if(PZ_SANITIZE)
  target_compile_options(pz_flags INTERFACE -fsanitize=${PZ_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(pz_flags INTERFACE -fsanitize=${PZ_SANITIZE})
endif()
if(PZ_FUZZ)
  target_compile_options(pz_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_include_directories(pz_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(pz_flags INTERFACE Threads::Threads m)

# pz_module(NAME SOURCES a.c b.c LIBS pz_base PkgConfig::X)
function(pz_module name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(pz_${name} STATIC ${A_SOURCES})
  target_link_libraries(pz_${name} PUBLIC pz_flags ${A_LIBS})
endfunction()

# pz_test(NAME SOURCES test_x.c LIBS pz_x LABELS unit [TIMEOUT s])  Exit code 77 counts as skipped.
function(pz_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LIBS} ${PZ_CMOCKA_LIBS})
  target_compile_definitions(${name} PRIVATE PZ_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    PZ_SHARED_DIR="${CMAKE_SOURCE_DIR}/../shared")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  if(PZ_SANITIZE MATCHES "thread")
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 10") # sums over sound and pictures are ten to twenty times as slow there
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()

# libpersonalize.so: the public functions and nothing else; installed with its header and a pkg-config file.
# The program itself is linked statically. Not built with sanitizers, whose runtime belongs to the program.
include(GNUInstallDirs)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/personalize.map CONTENT "{ global: pz_*; local: *; };\n")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/shared.c CONTENT "/* The shared library is made of libpz_api.a and what it needs. */\ntypedef int pz_shared_unit;\n")
add_library(personalize_shared SHARED ${CMAKE_BINARY_DIR}/shared.c)
target_link_libraries(personalize_shared PRIVATE pz_flags "$<LINK_LIBRARY:WHOLE_ARCHIVE,pz_api>")
# Hidden visibility leaves the functions marked PZ_API; the map keeps foreign static libraries inside.
target_link_options(personalize_shared PRIVATE -Wl,--version-script=${CMAKE_BINARY_DIR}/personalize.map -Wl,--no-undefined)
set_target_properties(personalize_shared PROPERTIES OUTPUT_NAME personalize VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
install(TARGETS personalize_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/personalize.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/personalize.pc @ONLY CONTENT
"prefix=${CMAKE_INSTALL_PREFIX}
libdir=${CMAKE_INSTALL_FULL_LIBDIR}
includedir=${CMAKE_INSTALL_FULL_INCLUDEDIR}

Name: personalize
Description: One film, the same film for every customer
Version: ${PROJECT_VERSION}
Libs: -L\${libdir} -lpersonalize
Cflags: -I\${includedir}
")
install(FILES ${CMAKE_BINARY_DIR}/personalize.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

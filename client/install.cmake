# Installs tconv::client for find_package(tconv) and for pkg-config: component
# "client". Of the generated headers only those of tconv.v1 belong to it; the
# others are used inside the library, and their names are not ours.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tconv)
install(TARGETS tconv_client tconv_codec tconv_proto EXPORT tconvTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(DIRECTORY include/tconv DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT client)
install(DIRECTORY ${PROJECT_BINARY_DIR}/proto/gen/tconv DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT client FILES_MATCHING PATTERN "*.pb.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/tconv
  DESTINATION ${CMAKE_INSTALL_DATADIR}/tconv/proto COMPONENT client FILES_MATCHING PATTERN "*.proto")

install(EXPORT tconvTargets NAMESPACE tconv:: DESTINATION ${package_dir} COMPONENT client)
configure_package_config_file(tconvConfig.cmake.in tconvConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(tconvConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tconvConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/tconvConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT client)

# The .pc file finds its prefix from where it lies, so that the tree can move.
file(RELATIVE_PATH TCONV_PC_PREFIX
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(tconv.pc.in tconv.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tconv.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)

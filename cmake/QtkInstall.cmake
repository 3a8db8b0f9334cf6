# Installs the SDK (component "sdk") so that find_package(qtk) brings qtk::core, qtk::testing and qtk_add_plugin.
include(CMakePackageConfigHelpers)
install(TARGETS qtk_core EXPORT qtkTargets LIBRARY DESTINATION lib COMPONENT sdk)
install(TARGETS qtk_headers qtk_testing EXPORT qtkTargets COMPONENT sdk)
install(EXPORT qtkTargets NAMESPACE qtk:: DESTINATION lib/cmake/qtk COMPONENT sdk)
install(DIRECTORY core/include/qtk DESTINATION include COMPONENT sdk FILES_MATCHING PATTERN "*.hpp")
install(FILES ${PROJECT_BINARY_DIR}/include/qtk/version.hpp DESTINATION include/qtk COMPONENT sdk)
configure_package_config_file(cmake/qtkConfig.cmake.in ${PROJECT_BINARY_DIR}/qtkConfig.cmake
  INSTALL_DESTINATION lib/cmake/qtk)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qtkConfigVersion.cmake
  VERSION ${QTK_API_MAJOR}.${QTK_API_MINOR} COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qtkConfig.cmake ${PROJECT_BINARY_DIR}/qtkConfigVersion.cmake
  cmake/QtkTorch.cmake cmake/QtkPlugin.cmake cmake/plugin_exports.map
  DESTINATION lib/cmake/qtk COMPONENT sdk)

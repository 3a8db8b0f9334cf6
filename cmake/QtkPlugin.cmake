# qtk_add_plugin(NAME KIND quantizer|scheduler|estimator|search|comm SOURCES ... [CUDA ...] [LIBS ...])
#
# Builds libqtk_<kind>_<name>.so with exactly two exported symbols into lib/qtk/plugins/<kind>, the same relative folder in
# build and install trees. CUDA sources are left out where qtk or the project has no CUDA (outside of qtk:
# project(... LANGUAGES CXX CUDA)). Works unchanged inside qtk and in a project that says find_package(qtk).
set(QTK_PLUGIN_KINDS quantizer scheduler estimator search comm)
set(QTK_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/plugin_exports.map)

function(qtk_check_plugin_arguments caller name kind sources unparsed missing)
  if(missing)
    message(FATAL_ERROR "${caller}(${name}): ${missing} is given without a value")
  endif()
  if(unparsed)
    message(FATAL_ERROR "${caller}(${name}): unknown arguments '${unparsed}'; "
      "the arguments are KIND, SOURCES, CUDA, LIBS and LABELS, in capitals")
  endif()
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "${caller}(${name}): a plugin's name is lower snake case, for example my_quantizer")
  endif()
  if(NOT kind IN_LIST QTK_PLUGIN_KINDS)
    list(JOIN QTK_PLUGIN_KINDS ", " kinds)
    message(FATAL_ERROR "${caller}(${name}): KIND is '${kind}', expected one of ${kinds}")
  endif()
  if(NOT sources)
    message(FATAL_ERROR "${caller}(${name}): SOURCES is empty, expected at least one .cpp file")
  endif()
endfunction()

# A plugin's compile and link settings, without a place to put it.
function(qtk_configure_plugin target name kind)
  target_link_libraries(${target} PRIVATE qtk::core)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_definitions(${target} PRIVATE QTK_PLUGIN_NAME="${name}" QTK_PLUGIN_KIND="${kind}")
  set_target_properties(${target} PROPERTIES OUTPUT_NAME qtk_${kind}_${name} PREFIX lib SUFFIX .so
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${QTK_PLUGIN_EXPORTS} -Wl,-z,defs -Wl,-z,nodelete)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${QTK_PLUGIN_EXPORTS})
  if(COMMAND qtk_target_defaults)
    qtk_target_defaults(${target})
    qtk_use_pch(${target})
    qtk_use_unity(${target} 16)
  endif()
endfunction()

function(qtk_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "KIND" "SOURCES;CUDA;LIBS")
  qtk_check_plugin_arguments(qtk_add_plugin "${name}" "${arg_KIND}" "${arg_SOURCES}"
    "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")

  set(target qtk_${arg_KIND}_${name})
  add_library(${target} MODULE ${arg_SOURCES})
  qtk_configure_plugin(${target} ${name} ${arg_KIND})
  target_link_libraries(${target} PRIVATE ${arg_LIBS})
  if(QTK_HAS_CUDA AND arg_CUDA)
    target_sources(${target} PRIVATE ${arg_CUDA})
    target_link_libraries(${target} PRIVATE CUDA::cudart)
    set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${QTK_CUDA_ARCHITECTURES}"
      CUDA_RUNTIME_LIBRARY Shared CUDA_VISIBILITY_PRESET hidden)
    list(JOIN QTK_CUDA_ARCHITECTURES "," archs)
    target_compile_definitions(${target} PRIVATE QTK_HAS_CUDA QTK_PLUGIN_CUDA_ARCHS="${archs}")
  endif()
  set_target_properties(${target} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/qtk/plugins/${arg_KIND}
    INSTALL_RPATH "$ORIGIN/../../..")
  install(TARGETS ${target} LIBRARY DESTINATION lib/qtk/plugins/${arg_KIND})
endfunction()

# qtk_add_plugin_test(NAME KIND ... SOURCES ... [LABELS ...] [LIBS ...]): a GoogleTest program test_<kind>_<name> that
# finds the plugins of this build, and a test <kind>.<name> that runs it.
function(qtk_add_plugin_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "KIND" "SOURCES;LABELS;LIBS")
  qtk_check_plugin_arguments(qtk_add_plugin_test "${name}" "${arg_KIND}" "${arg_SOURCES}"
    "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
  if(DEFINED QTK_TESTS AND NOT QTK_TESTS)
    return()
  endif()
  if(NOT TARGET qtk_${arg_KIND}_${name})
    message(FATAL_ERROR "qtk_add_plugin_test(${name}): there is no plugin of this KIND and name, "
      "call qtk_add_plugin(${name} KIND ${arg_KIND} ...) first")
  endif()
  set(target test_${arg_KIND}_${name})
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE qtk::core qtk::testing ${arg_LIBS})
  target_compile_definitions(${target} PRIVATE
    QTK_TEST_PLUGIN_PATH="${CMAKE_BINARY_DIR}/lib/qtk/plugins")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  add_dependencies(${target} qtk_${arg_KIND}_${name})
  if(COMMAND qtk_target_defaults)
    qtk_target_defaults(${target})
    qtk_use_pch(${target})
    qtk_use_unity(${target} 16)
    # The test's own sources; those of the plugin that it compiles in are tested as they are built.
    list(FILTER arg_SOURCES EXCLUDE REGEX "^/")
    set_source_files_properties(${arg_SOURCES} PROPERTIES COMPILE_OPTIONS -O1)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  add_test(NAME ${arg_KIND}.${name} COMMAND ${target})
  # Two programs whose OpenMP threads spin on the same cores take twenty times as long.
  set_tests_properties(${arg_KIND}.${name} PROPERTIES LABELS "${arg_LABELS}" ENVIRONMENT OMP_WAIT_POLICY=passive)
endfunction()

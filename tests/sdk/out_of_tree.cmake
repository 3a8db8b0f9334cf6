# Installs the SDK into a staging folder, then configures, builds and tests examples/out_of_tree_plugin against it.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result COMMAND_ECHO STDOUT)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed with ${result}: ${ARGV}")
  endif()
endfunction()

set(stage ${BUILD}/tests/sdk/stage)
set(example ${BUILD}/tests/sdk/example)
file(REMOVE_RECURSE ${stage} ${example})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${stage} --component sdk)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/out_of_tree_plugin -B ${example} -G ${GENERATOR}
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${stage})
run(${CMAKE_COMMAND} --build ${example})
run(${CTEST} --test-dir ${example} --output-on-failure)
# The staged tree must be what was used, not the source tree.
file(STRINGS ${example}/CMakeCache.txt found REGEX "^qtk_DIR:PATH=${stage}")
if(NOT found)
  message(FATAL_ERROR "the example did not use ${stage}")
endif()
run(${CMAKE_COMMAND} --install ${example} --prefix ${stage})
run(${SOURCE}/tests/sdk/check_exports.sh ${stage}/lib/libqtk.so ${stage}/lib/qtk/plugins)

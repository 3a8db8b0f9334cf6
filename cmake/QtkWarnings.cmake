# What every qtk target shares: C++20, warnings, position-independent code with the same flags (so that the precompiled
# header fits all of them).
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG" CACHE STRING "Hot loops ask for more where they stand" FORCE)
# GCC 12 reports these on correct std::string code once it is inlined (GCC bugs 105329, 105651).
set(QTK_GCC12_FALSE_ALARMS -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)

function(qtk_target_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:-fPIC;-Wall;-Wextra;-Wno-unused-parameter;-Wno-missing-field-initializers;${QTK_GCC12_FALSE_ALARMS}>"
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${QTK_WERROR}>>:-Werror>
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-fPIC>")
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
endfunction()

# Makes `target` use the precompiled header of qtk_pch. A header built with other flags is an error, not a slow build.
function(qtk_use_pch target)
  if(QTK_PCH AND TARGET qtk_pch)
    target_precompile_headers(${target} REUSE_FROM qtk_pch)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Winvalid-pch>)
  endif()
endfunction()

// What a plugin and core must agree on, as "key=value;" text fixed when either is compiled.
#pragma once

#include <qtk/version.hpp>

#include <bits/c++config.h>

#define QTK_DETAIL_TEXT_(x) #x
#define QTK_DETAIL_TEXT(x) QTK_DETAIL_TEXT_(x)

#ifdef QTK_HAS_CUDA
#define QTK_DETAIL_CUDA "13.0"
#else
#define QTK_DETAIL_CUDA "none"
#endif
#ifndef QTK_PLUGIN_CUDA_ARCHS
#define QTK_PLUGIN_CUDA_ARCHS "none"
#endif

/// qtk_api must be compatible; torch, cxx11abi and stdlib equal; compiler and cxxstd may differ
/// with a warning; the CUDA major number must be equal where both have one.
#define QTK_FINGERPRINT \
  "qtk_api=" QTK_DETAIL_TEXT(QTK_API_MAJOR) "." QTK_DETAIL_TEXT(QTK_API_MINOR) ";torch="         \
  QTK_TORCH_VERSION ";cxx11abi=" QTK_DETAIL_TEXT(_GLIBCXX_USE_CXX11_ABI)                         \
  ";stdlib=libstdc++;compiler=gcc" QTK_DETAIL_TEXT(__GNUC__) ";cxxstd=" QTK_DETAIL_TEXT(__cplusplus) \
  ";cuda=" QTK_DETAIL_CUDA ";cuda_archs=" QTK_PLUGIN_CUDA_ARCHS

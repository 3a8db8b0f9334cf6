// Symbol visibility of the SDK. Plugins are compiled with hidden visibility, so every class and
// function that crosses the border says so.
#pragma once

#define QTK_API __attribute__((visibility("default")))

// The macro cannot make this one, so the two symbols are written by hand.
#include "constant.hpp"

namespace {

constexpr qtk::PluginDescriptor kDescriptor{
    .struct_size = sizeof(qtk::PluginDescriptor),
    .api_version = QTK_API_MAJOR << 16 | QTK_API_MINOR,
    .fingerprint = QTK_FINGERPRINT,
    .kind = "scheduler",
    .info = {.name = "returns_null", .version = "1", .summary = "Bad"},
    .options = [](qtk::OptionTable*, qtk::PluginFailure*) noexcept {},
    .create = [](const qtk::OptionValues*, qtk::RunContext*,
                 qtk::PluginFailure*) noexcept -> void* { return nullptr; },
    .destroy = [](void*) noexcept {},
};

}  // namespace

extern "C" {
QTK_API extern const char qtk_manifest_v1[];
__attribute__((section(".qtk_manifest"), used)) const char qtk_manifest_v1[] =
    "qtk_manifest=1\nkind=scheduler\nname=returns_null\nversion=1\nsummary=Bad\npaper="
    "\nbuild=" QTK_FINGERPRINT "\n";

QTK_API const qtk::PluginDescriptor* qtk_plugin_v1() { return &kDescriptor; }
}

#include "dist/wire_format.hpp"

#include "ranks.hpp"

#include <ATen/ATen.h>

namespace qtk::dist {
namespace {

TEST(WireFormatTest, EveryFlippedBitIsFound) {
  at::Tensor message = at::arange(13 + kHashBytes, at::kByte);
  seal(message);
  ASSERT_NO_THROW(require_seal(message, "message"));
  EXPECT_TRUE(at::equal(message.narrow(0, 0, 13), at::arange(13, at::kByte)));
  auto* bytes = message.mutable_data_ptr<uint8_t>();
  for (int64_t bit = 0; bit < 8 * message.numel(); ++bit) {
    const auto mask = static_cast<uint8_t>(1 << bit % 8);
    bytes[bit / 8] ^= mask;
    EXPECT_THROW(require_seal(message, "message"), Error) << bit;
    bytes[bit / 8] ^= mask;
  }
}

TEST(WireFormatTest, AMessageMayBeEmpty) {
  at::Tensor message = at::zeros({kHashBytes}, at::kByte);
  EXPECT_THROW(require_seal(message, "message"), Error);

  seal(message);

  EXPECT_NO_THROW(require_seal(message, "message"));
}

TEST(WireFormatTest, DamageIsNamedAndEndsAsALostPeer) {
  at::Tensor message = at::zeros({20}, at::kByte);
  try {
    require_seal(message, "forward micro-batch 3");
    FAIL() << "a message without its hash was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(
        std::string(error.what()),
        "the forward micro-batch 3 was damaged on the way: its hash is not that of its bytes");
    EXPECT_EQ(error.code(), ExitCode::kPeerLost);
  }
}

}  // namespace
}  // namespace qtk::dist

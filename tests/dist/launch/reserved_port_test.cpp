#include "dist/launch/reserved_port.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace qtk::dist {
namespace {

bool can_listen(int port, int reuses_address) {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuses_address, sizeof(int));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
         ::listen(socket.get(), 1) == 0;
}

TEST(ReservedPortTest, OnlyWhoAsksForItByNumberGetsIt) {
  const ReservedPort port;

  EXPECT_GT(port.number(), 0);
  EXPECT_FALSE(can_listen(port.number(), 0));
  EXPECT_TRUE(can_listen(port.number(), 1)) << "the store of rank 0 sets SO_REUSEADDR";
}

TEST(ReservedPortTest, TwoAreNeverTheSame) {
  const ReservedPort first, second;

  EXPECT_NE(first.number(), second.number());
}

}  // namespace
}  // namespace qtk::dist

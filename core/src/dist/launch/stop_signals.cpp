#include "dist/launch/stop_signals.hpp"

#include <qtk/runtime/error.hpp>

#include <sys/signalfd.h>

#include <cerrno>
#include <cstring>

namespace qtk::dist {

StopSignals::StopSignals() {
  sigset_t stops;
  ::sigemptyset(&stops);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaddset(&stops, signal);
  // nohup means that a closed terminal is no reason to stop.
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) ::sigaddset(&stops, SIGHUP);
  descriptor_ = Descriptor(::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_) throw IoError("cannot watch signals: " + std::string(std::strerror(errno)));
  ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  former_pipe_ = std::signal(SIGPIPE, SIG_IGN);
}

StopSignals::~StopSignals() { std::signal(SIGPIPE, former_pipe_); }

std::vector<int> StopSignals::take() {
  std::vector<int> signals;
  signalfd_siginfo info{};
  while (::read(descriptor_.get(), &info, sizeof(info)) == sizeof(info)) {
    const auto signal = static_cast<int>(info.ssi_signo);
    signals.push_back(signal == SIGHUP ? SIGTERM : signal);
    if (first_ == 0) first_ = signals.back();
  }
  return signals;
}

}  // namespace qtk::dist

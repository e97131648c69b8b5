/* What a shared folder and another machine's clock can do to a program that preloads this (faults.sh):
     FAULT_DELAY=MS    opening, locking, writing, syncing and renaming take so long, and a write takes part of its bytes
     FAULT_CLOCK=S     the time of day is so many seconds off */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long setting(const char* name) {
  const char* text = getenv(name);
  return text ? atol(text) : 0;
}

static void delay(void) {
  const long ms = setting("FAULT_DELAY");
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  if (ms > 0) nanosleep(&time, NULL);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (flags & (O_WRONLY | O_RDWR)) delay();
  return NEXT(open)(path, flags, mode);
}

int flock(int fd, int operation) {
  delay();
  return NEXT(flock)(fd, operation);
}

ssize_t write(int fd, const void* bytes, size_t count) {
  if (fd > 2) delay();
  return NEXT(write)(fd, bytes, fd > 2 && setting("FAULT_DELAY") > 0 && count > 1 ? count / 2 + 1 : count);
}

int fdatasync(int fd) {
  delay();
  return NEXT(fdatasync)(fd);
}

int rename(const char* from, const char* to) {
  delay();
  return NEXT(rename)(from, to);
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  const int status = NEXT(clock_gettime)(clock, time);
  if (status == 0 && clock == CLOCK_REALTIME) time->tv_sec += setting("FAULT_CLOCK");
  return status;
}

time_t time(time_t* result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

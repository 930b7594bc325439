// Tries ways out of the sandbox of `invoke`, one line each: `NAME: out` where it got out, `NAME: shut (why)` where it did not,
// `NAME: as on Lambda` for what a function may do there, too. Runs as the bootstrap of a function.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int ways;

static void out(const char *name, int got_out) {
    printf("WAY %2d %s: %s\n", ++ways, name, got_out ? "out" : "shut");
    fflush(stdout);
}
static void lambda(const char *name, int works) {
    printf("WAY %2d %s: %s\n", ++ways, name, works ? "as on Lambda" : "shut");
    fflush(stdout);
}
static int writes(const char *path, const char *text) {
    int f = open(path, O_WRONLY | O_CLOEXEC);
    if (f < 0) return 0;
    int done = write(f, text, strlen(text)) >= 0;
    close(f);
    return done;
}
static int reads(const char *path) {
    char byte;
    int f = open(path, O_RDONLY | O_CLOEXEC);
    if (f < 0) return 0;
    int done = read(f, &byte, 1) > 0;
    close(f);
    return done;
}
// Writes a value with the value that it has.
static int rewrites(const char *path) {
    char text[256];
    int f = open(path, O_RDONLY);
    if (f < 0) return 0;
    ssize_t n = read(f, text, sizeof text - 1);
    close(f);
    if (n <= 0) return 0;
    text[n] = 0;
    return writes(path, text);
}
static int makes(const char *path) {
    int f = open(path, O_CREAT | O_WRONLY, 0600);
    if (f < 0) return 0;
    close(f);
    return 1;
}
static int socket_of(int family, int type) {
    int f = socket(family, type, 0);
    if (f < 0) return 0;
    close(f);
    return 1;
}
static int connects(const char *address, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int f = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval two = {.tv_sec = 1};
    setsockopt(f, SOL_SOCKET, SO_SNDTIMEO, &two, sizeof two);
    int done = connect(f, (void *)&to, sizeof to) == 0;
    close(f);
    return done;
}
static int any_descriptor(void) {
    for (int f = 3; f < 1024; f++)
        if (fcntl(f, F_GETFD) >= 0) return 1;
    return 0;
}
static int in_new(int flags) {
    pid_t child = fork();
    if (child == 0) _exit(unshare(flags) == 0);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status);
}
static int by_clone(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, 0, 0);
    return child > 0;
}
static int by_clone3(void) {
    unsigned long long args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long child = syscall(435, args, sizeof args);
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, 0, 0);
    return child > 0;
}
static int memory_of(int pid) {
    char path[64], buffer[16] = {0};
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int f = open(path, O_RDWR);
    if (f >= 0) return close(f), 1;
    struct iovec here = {buffer, 16}, there = {buffer, 16};
    return process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0;
}
static int descriptor_of(int pid) {
    int handle = syscall(434, pid, 0);
    if (handle < 0) return 0;
    for (int f = 0; f < 16; f++)
        if (syscall(438, handle, f, 0) >= 0) return 1;
    return 0;
}
static int tries_x32(void) {
#ifdef __x86_64__
    // socket(AF_VSOCK) by its number in the x32 ABI.
    return syscall(0x40000000 | SYS_socket, 40, SOCK_STREAM, 0) >= 0;
#else
    return 0;
#endif
}
static int setuid_program(void) {
    const char *programs[] = {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/sudo", "/usr/bin/passwd", "/opt/setuid"};
    for (int i = 0; i < 5; i++) {
        struct stat about;
        if (stat(programs[i], &about) == 0 && about.st_mode & S_ISUID && about.st_uid == 0) return 1;
    }
    return 0;
}
static int marker(const char *path) {
    char text[64] = {0};
    int f = open(path, O_RDONLY);
    if (f < 0) return 0;
    ssize_t n = read(f, text, sizeof text - 1);
    close(f);
    return n > 0 && strstr(text, "host-secret") != NULL;
}
static int forks(void) {
    int count = 0;
    pid_t children[4096];
    for (; count < 4000; count++) {
        pid_t child = fork();
        if (child == 0) { pause(); _exit(0); }
        if (child < 0) break;
        children[count] = child;
    }
    for (int i = 0; i < count; i++) kill(children[i], SIGKILL);
    for (int i = 0; i < count; i++) waitpid(children[i], 0, 0);
    return count;
}

int main(void) {
    puts("WAYS begin");
    // Files
    out("the host's marker by its path", marker(getenv("MARKER") ? getenv("MARKER") : "/nowhere"));
    out("a link of the layer to the marker", marker("/opt/link"));
    out("a link of the layer to /proc/1/root", marker("/opt/root/marker") || reads("/proc/1/root/etc/shadow"));
    out("a link of the task to the marker", marker("/var/task/link"));
    out("a file below /opt", makes("/opt/planted"));
    out("a file below /var/task", makes("/var/task/planted"));
    out("a file below /usr", makes("/usr/planted") || makes("/planted") || makes("/etc/planted"));
    out("a file below /dev", makes("/dev/shm/planted") || mknod("/dev/sda", S_IFBLK | 0600, makedev(8, 0)) == 0);
    out("a device node in /tmp", mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) == 0);
    out("a setuid program of root", setuid_program());
    out("/etc/shadow", reads("/etc/shadow"));
    out("this program's own files changed", chmod("/var/rapid/init", 0777) == 0 || writes("/var/rapid/init", "x"));
    // Descriptors
    out("a descriptor that the caller had open", any_descriptor());
    out("descriptors of the first process", reads("/proc/1/fd/0") || access("/proc/1/fd/0", F_OK) == 0);
    out("a descriptor by pidfd_getfd", descriptor_of(1));
    // /proc
    out("vm/swappiness", rewrites("/proc/sys/vm/swappiness"));
    out("kernel/core_pattern", rewrites("/proc/sys/kernel/core_pattern"));
    out("net/ipv4/ip_forward", rewrites("/proc/sys/net/ipv4/ip_forward"));
    out("kernel/hostname", rewrites("/proc/sys/kernel/hostname"));
    out("/proc/sysrq-trigger", access("/proc/sysrq-trigger", W_OK) == 0);
    out("/proc/mtrr or /proc/irq", access("/proc/mtrr", W_OK) == 0 || access("/proc/irq/default_smp_affinity", W_OK) == 0);
    out("/proc/kcore, /dev/mem", reads("/proc/kcore") || reads("/dev/mem") || reads("/dev/kmsg"));
    lambda("sysctls can be read", reads("/proc/sys/vm/swappiness"));
    lambda("its own oom_score_adj can be raised", writes("/proc/self/oom_score_adj", "500"));
    // Memory of others
    out("memory of the first process", memory_of(1));
    out("ptrace of the first process", ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || ptrace(PTRACE_SEIZE, 1, 0, 0) == 0);
    // Namespaces and mounts
    out("a user namespace by unshare", in_new(CLONE_NEWUSER));
    out("a user namespace by clone", by_clone(CLONE_NEWUSER));
    out("a user namespace by clone3", by_clone3());
    out("a mount or network namespace", in_new(CLONE_NEWNS) || in_new(CLONE_NEWNET) || in_new(CLONE_NEWUTS));
    int space = open("/proc/1/ns/mnt", O_RDONLY);
    out("the first process's namespaces", space >= 0 && setns(space, 0) == 0);
    out("a mount", mount("none", "/tmp", "tmpfs", 0, 0) == 0 || mount("", "/", "", MS_REMOUNT, "") == 0);
    out("an unmount", umount2("/opt", MNT_DETACH) == 0 || umount2("/proc/sys", MNT_DETACH) == 0);
    out("open_tree, fsopen, pivot_root", syscall(428, AT_FDCWD, "/", 1) >= 0 || syscall(430, "tmpfs", 0) >= 0 ||
            syscall(SYS_pivot_root, "/tmp", "/tmp") == 0);
    out("chroot", chroot("/tmp") == 0);
    // Users
    out("another user", setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0);
    out("a capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 7, 0, 0) == 0 && setuid(0) == 0);
    // Network and sockets
    out("the network", connects("1.1.1.1", 53) || connects("8.8.8.8", 53));
    out("a metadata service", connects("169.254.169.254", 80));
    out("a raw or packet socket", socket_of(AF_INET, SOCK_RAW) || socket_of(17, SOCK_RAW));
    out("vsock", socket_of(40, SOCK_STREAM) || socket_of(40, SOCK_DGRAM));
    out("vsock by the x32 ABI", tries_x32());
    out("the kernel's crypto sockets", socket_of(38, SOCK_SEQPACKET));
    struct sockaddr_un host = {.sun_family = AF_UNIX};
    memcpy(host.sun_path + 1, "lambdar-escape", 14);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    out("an abstract socket of the host", connect(local, (void *)&host, sizeof(sa_family_t) + 15) == 0);
    // The kernel
    char params[120] = {0};
    out("io_uring", syscall(425, 4, params) >= 0);
    out("bpf, perf, userfaultfd", syscall(SYS_bpf, 0, params, 120) >= 0 || syscall(SYS_perf_event_open, params, 0, -1, -1, 0) >= 0 ||
            syscall(SYS_userfaultfd, 0) >= 0);
    out("keyrings of the user", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1) >= 0 ||
            syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_SESSION_KEYRING) >= 0);
    out("modules, kexec, reboot", syscall(SYS_init_module, params, 8, "") == 0 || syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0) == 0);
    out("hidden memory by memfd_secret", syscall(447, 0) >= 0);
    // Terminals
    int terminal = open("/dev/tty", O_RDWR);
    out("the caller's terminal", terminal >= 0);
    out("typing into a terminal", ioctl(terminal >= 0 ? terminal : 2, TIOCSTI, "x") == 0);
    // Processes and signals
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    out("higher limits", setrlimit(RLIMIT_NPROC, &limit) == 0 || setrlimit(RLIMIT_NOFILE, &limit) == 0 ||
            setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1) == 0);
    int children = forks();
    printf("forked %d\n", children);
    out("more than 1,024 processes", children >= 1024);
    lambda("memfd_create", memfd_create("x", 0) >= 0);
    lambda("prctl(PR_SET_DUMPABLE)", prctl(PR_SET_DUMPABLE, 0) == 0);
    kill(1, SIGSTOP);
    kill(1, SIGKILL);
    kill(1, SIGTERM);
    usleep(200000);
    out("the first process stopped or killed", kill(1, 0) != 0 || access("/proc/1", F_OK) != 0);
    printf("WAYS end %d\n", ways);
    fflush(stdout);
    // At last: everything that may be signalled.
    kill(-1, SIGKILL);
    return 0;
}

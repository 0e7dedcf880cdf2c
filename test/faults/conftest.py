"""What the programs of these tests inherit."""
import os

# libcrypto isn't built with ThreadSanitizer: it reads what it keeps of a certificate, and made on first
# use, after an atomic load that the sanitizer doesn't see, and comparing it would be called a race. What
# our own code does is watched as before.
os.environ.setdefault("TSAN_OPTIONS", "ignore_noninstrumented_modules=1")

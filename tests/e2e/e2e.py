#!/usr/bin/env python3
"""End-to-end checks of the built program on real films: content is compared, not only exit codes.

usage: e2e.py CASE PROGRAM SOURCE_DIR BASE_DIR      exit 0 passed, 1 failed, 77 skipped (something needed is absent)

Standard library only; films are looked at with the ffmpeg and ffprobe programs.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

CASE, PROGRAM, SOURCE, BASE = sys.argv[1:5]
TEMPLATE = os.path.join(BASE, "template", "sample.pzt")  # made by prepare_sample, read by the others
WORK = os.path.join(BASE, CASE)  # cases run side by side: each looks for leftovers in a folder of its own
SAMPLE = os.path.join(SOURCE, "samples", "template.mp4")
CLIPS = os.path.join(SOURCE, "..", "shared", "data", "clips")


def fail(text):
    print("FAILED:", text)
    sys.exit(1)


def check(ok, text):
    print("ok  " if ok else "BAD ", text)
    if not ok:
        fail(text)


def run(*args, expect=0, **kw):
    p = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, **kw)
    if p.returncode != expect:
        fail(f"{' '.join(args)}: exit {p.returncode}, expected {expect}\n{p.stderr[-2000:]}")
    return p


def need(path):
    if not os.path.exists(path):
        print("skipped:", path, "is not there")
        sys.exit(77)
    return path


def probe(path, entries, stream="v:0"):
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "json", path],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def frame_hashes(path):
    """[(pts seconds, md5)] of every decoded frame."""
    out = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-map", "0:v:0", "-vsync", "passthrough", "-enc_time_base",
                          "1:1000000", "-f", "framemd5", "-"], capture_output=True, text=True, check=True)
    if out.stderr.strip():
        fail(f"decoding {path}: {out.stderr[:500]}")
    rows = [l.split(",") for l in out.stdout.splitlines() if l and l[0] != "#"]
    return [(int(r[2]) * 1e-6, r[5].strip()) for r in rows]


def keys(path):
    f = probe(path, "packet=pts_time,flags")["packets"]
    return sorted(float(p["pts_time"]) for p in f if p["flags"].startswith("K"))


def no_leftovers(folder):
    bad = [n for n in os.listdir(folder) if n.startswith(".") or n.endswith(".tmp")]
    check(not bad, f"nothing left behind in {os.path.basename(folder)} {bad}")


REPORT_FIELDS = """version command input output model device precision seed duration_s fps width height frames_total
frames_touched frames_encoded frames_copied slots timings_s realtime_factor peak_rss_bytes peak_vram_bytes warnings
qc""".split()
SLOT_FIELDS = "name spoken value start_s end_s out_start_s out_end_s fit stretch loudness_delta_lu face frames".split()
QC_FIELDS = "av_offset_ms seam_delta_e sharpness_ratio jitter_ratio silence_opening untouched_psnr_db readback".split()


def check_report(path, slots, pictures=True):
    r = json.load(open(path))
    missing = [f for f in REPORT_FIELDS if f not in r]
    check(not missing, f"report has every field {missing}")
    check(len(r["slots"]) == slots, f"{len(r['slots'])} slots, expected {slots}")
    for s in r["slots"]:
        missing = [f for f in SLOT_FIELDS if f not in s]
        check(not missing, f"slot {s.get('name')} has every field {missing}")
        check(abs(s["loudness_delta_lu"]) <= 1.0, f"slot {s['name']}: loudness {s['loudness_delta_lu']} LU off")
        check(0.85 <= s["stretch"] <= 1.15, f"slot {s['name']}: stretch {s['stretch']}")
    missing = [f for f in QC_FIELDS if f not in r["qc"]]
    check(not missing, f"qc has every field {missing}")
    check(set(r["timings_s"]) >= {"prepare", "speech", "lipsync", "composite", "encode", "total"}, "timings complete")
    check(r["frames_total"] == r["frames_encoded"] + r["frames_copied"], "frames add up")
    if pictures:
        check(0 < r["frames_touched"] <= r["frames_encoded"], f"{r['frames_touched']} touched, {r['frames_encoded']} encoded")
    return r


def check_untouched(source, output, report):
    """Every frame outside slots, margins and re-encoded GOP tails is the same picture at its shifted time."""
    a, b, k = frame_hashes(source), frame_hashes(output), keys(source)
    check(len(b) == report["frames_total"], f"{len(b)} frames decoded, report says {report['frames_total']}")
    times = [t for t, _ in b]
    check(all(x < y for x, y in zip(times, times[1:])), "timestamps ascend")
    dirty = []  # output time ranges that may differ
    for s in report["slots"]:
        if not s["frames"]:
            continue
        first, last = s["frames"]
        src_end = s["end_s"] + 0.5
        nxt = next((x for x in k if x >= src_end - 0.6 and x > s["end_s"] - 0.2), a[-1][0] + 1)
        prev = max([x for x in k if x <= s["start_s"]] or [0])
        dirty.append((times[first], max(times[last], nxt + s["out_end_s"] - s["end_s"] + 1.0), prev))
    ha = {}
    for t, h in a:
        ha.setdefault(h, []).append(t)
    differing = [t for t, h in b if h not in ha]
    check(len(differing) <= report["frames_encoded"], f"{len(differing)} frames differ, {report['frames_encoded']} encoded")
    for t in differing:
        if not any(min(lo, p) - 1e-3 <= t <= hi for lo, hi, p in dirty):
            fail(f"frame at {t:.3f} s differs outside every slot")
    same = len(b) - len(differing)
    check(same >= report["frames_copied"], f"{same} frames identical, {report['frames_copied']} copied")


def sound_ok(path, report):
    s = probe(path, "stream=duration,sample_rate,channels", "a:0")["streams"][0]
    check(abs(float(s["duration"]) - report["duration_s"]) < 0.05, f"sound lasts {s['duration']} s")


def case_prepare_sample():
    out = TEMPLATE
    shutil.rmtree(os.path.dirname(TEMPLATE), ignore_errors=True)
    os.makedirs(os.path.dirname(TEMPLATE))
    run("prepare", need(SAMPLE), "--lip-sync-model", "gaussian_splatting", "-o", out, "--quiet")
    t = json.load(open(os.path.join(out, "template.json")))
    names = [s["name"] for s in t["slots"]]
    check("customer_name" in names and "destination" in names, f"variables found: {names}")
    truth = os.path.join(SOURCE, "samples", "template.motion.json")
    if os.path.exists(truth):
        words = {w["word"].lower().strip(".,"): w for w in json.load(open(truth)).get("words", []) if "word" in w}
        for s in t["slots"]:
            w = words.get(s["spoken"].lower())
            if w:
                e = max(abs(s["start_s"] - w["start_s"]), abs(s["end_s"] - w["end_s"]))
                check(e <= 0.06, f"edges of '{s['spoken']}' are {e * 1000:.0f} ms off")
    no_leftovers(os.path.dirname(TEMPLATE))


def case_render_sample():
    t, out = need(TEMPLATE), os.path.join(WORK, "john.mp4")
    run("render", t, "--customer-name", "John", "--destination", "Paris", "-o", out, "--quiet")
    r = check_report(os.path.join(WORK, "john.json"), 2)
    film = os.path.join(t, json.load(open(os.path.join(t, "template.json")))["film"])
    check_untouched(film, out, r)
    sound_ok(out, r)
    raw = open(out, "rb").read()
    check(b"compositeWithTrainedAlgorithmicMedia" in raw, "file says that it is synthetic media")
    check(abs(r["qc"]["av_offset_ms"] or 0) <= 1.0, f"A/V offset {r['qc']['av_offset_ms']} ms")
    check((r["qc"]["untouched_psnr_db"] or 99) >= 45, f"untouched PSNR {r['qc']['untouched_psnr_db']}")
    no_leftovers(WORK)
    first = open(out, "rb").read()
    run("render", t, "--customer-name", "John", "--destination", "Paris", "-o", out, "--quiet")
    check(frame_hashes(out) and open(out, "rb").read() == first, "the same request gives the same film, byte for byte")


def case_utf8_value():
    t, out = need(TEMPLATE), os.path.join(WORK, "utf8.mp4")
    run("render", t, "--customer-name", "Zoë Müller", "--destination", "Łódź", "-o", out, "--quiet")
    check_report(os.path.join(WORK, "utf8.json"), 2)
    if shutil.which("espeak-ng"):
        run("render", t, "--customer-name", "अनुज", "--destination", "Токио", "-o", out, "--quiet")
        r = check_report(os.path.join(WORK, "utf8.json"), 2)
        check(r["slots"][0]["value"] == "अनुज", "the value is kept in the report")
        check(r["slots"][0]["voice"].startswith("espeak-ng:"), f"spoken by {r['slots'][0]['voice']}")
        p = run("render", t, "--customer-name", "John", "--destination", "東京", "-o", out, "--quiet", expect=2)
        check("--say" in p.stderr, "a script espeak-ng cannot read is refused with advice: " + p.stderr.strip())


def case_same_value_is_kept():
    t, out = need(TEMPLATE), os.path.join(WORK, "same.mp4")
    spoken = {s["name"]: s["spoken"] for s in json.load(open(os.path.join(t, "template.json")))["slots"]}
    run("render", t, "--customer-name", spoken["customer_name"], "--destination", spoken["destination"], "-o", out, "--quiet")
    r = json.load(open(os.path.join(WORK, "same.json")))
    check(r["frames_touched"] == 0 and r["frames_encoded"] == 0, "nothing is touched when nothing changes")
    check(all(s["fit"] == "kept" for s in r["slots"]), "slots are kept")


def case_sound_only():
    t, out = need(TEMPLATE), os.path.join(WORK, "sound.mp4")
    run("render", t, "--customer-name", "John", "--destination", "Paris", "--no-lip-sync", "-o", out, "--quiet")
    r = json.load(open(os.path.join(WORK, "sound.json")))
    check(r["model"] == "none" and r["frames_touched"] == 0, "pictures stay when only sound is asked for")


def case_one_shot_sound():
    """Prepare and render in one go, sound only: quick enough to run under sanitizers too."""
    out = os.path.join(WORK, "oneshot.mp4")
    run(need(SAMPLE), "--customer-name", "John", "--destination", "Paris", "--no-lip-sync", "-o", out, "--quiet",
        "--cache-dir", os.path.join(WORK, "cache-sound"))
    r = check_report(os.path.join(WORK, "oneshot.json"), 2, pictures=False)
    check(r["model"] == "none" and r["frames_touched"] == 0, "no picture was made")
    check(r["qc"]["readback"]["score"] >= 0.5, f"the words are heard: {r['qc']['readback']}")
    sound_ok(out, r)


def case_interview():
    clip = need(os.path.join(CLIPS, "interview_700.mp4"))
    out = os.path.join(WORK, "interview.mp4")
    run(clip, "--spoken", "help=help", "--var", "help=support", "--lip-sync-model", "gaussian_splatting", "-o", out, "--quiet",
        "--cache-dir", os.path.join(WORK, "cache"))
    r = check_report(os.path.join(WORK, "interview.json"), 1)
    check_untouched(clip, out, r)
    sound_ok(out, r)


def case_wav2lip():
    """A small network of random weights: the mouth is noise, everything around it must be right."""
    need(SAMPLE)
    tool = need(os.path.join(os.path.dirname(PROGRAM), "tests", "lipsync", "test_wav2lip"))
    models, file, out = (os.path.join(WORK, n) for n in ("models", "small.pth", "w2l.mp4"))
    cache = os.path.join(WORK, "cache-w2l")
    shutil.rmtree(cache, ignore_errors=True)
    if os.path.exists(out):
        os.remove(out)
    shutil.rmtree(models, ignore_errors=True)
    os.makedirs(models)
    here = run("models", "path").stdout.strip()
    if os.path.isdir(os.path.join(here, "mediapipe")):
        os.symlink(os.path.join(here, "mediapipe"), os.path.join(models, "mediapipe"))
    ask = [SAMPLE, "--customer-name", "John", "--destination", "Paris", "--lip-sync-model", "wav2lip", "--models-dir", models,
           "--cache-dir", cache, "-o", out, "--quiet"]
    began = time.time()
    p = run(*ask, expect=4)
    check(len(p.stderr.splitlines()) == 1 and "models download wav2lip" in p.stderr, "no weights: " + p.stderr.strip())
    check(time.time() - began < 10 and not os.path.exists(out), "said at once, nothing written")
    p = run("models", "download", "wav2lip", "--models-dir", models, expect=1)
    check("licence" in p.stderr and "--accept-licence" in p.stderr, "a licence is asked for")
    p = run(*[a if a != "wav2lip" else "gaussian_splatting" for a in ask], "--face-detector", "s3fd", expect=1)
    check("s3fd" in p.stderr, "only wav2lip takes boxes by s3fd")
    open(file, "wb").write(b"not weights")
    run("models", "add", "wav2lip", file, "--models-dir", models, expect=2)
    subprocess.run([tool, "--save", file], check=True)
    run("models", "add", "wav2lip", file, "--models-dir", models)
    run("models", "verify", "wav2lip", "--models-dir", models)
    p = run(*ask, "--face-detector", "s3fd", expect=4)
    check("models download s3fd" in p.stderr and not os.path.exists(out), "no weights: " + p.stderr.strip())
    run(*ask)
    r = check_report(os.path.join(WORK, "w2l.json"), 2)
    check(r["model"] == "wav2lip", f"made by {r['model']}")
    check_untouched(SAMPLE, out, r)
    sound_ok(out, r)
    check((r["qc"]["untouched_psnr_db"] or 0) >= 45, f"outside the mask {r['qc']['untouched_psnr_db']} dB")
    check(r["qc"]["seam_delta_e"] <= 1.5, f"seam {r['qc']['seam_delta_e']}")
    subprocess.run([tool, "--save-larger", file], check=True)
    os.remove(os.path.join(models, "wav2lip", "wav2lip_gan.pth"))
    run("models", "add", "wav2lip", file, "--models-dir", models)
    run(*ask)
    templates = os.listdir(os.path.join(cache, "templates"))
    check(len(templates) == 2, f"weights of another size: prepared again ({len(templates)} templates)")
    no_leftovers(WORK)


def case_musetalk():
    """A small network of random weights: the mouth is noise, everything around it must be right."""
    need(SAMPLE)
    tool = need(os.path.join(os.path.dirname(PROGRAM), "tests", "lipsync", "make_musetalk"))
    models, out = (os.path.join(WORK, n) for n in ("models", "mt.mp4"))
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(models)
    here = run("models", "path").stdout.strip()
    if os.path.isdir(os.path.join(here, "mediapipe")):
        os.symlink(os.path.join(here, "mediapipe"), os.path.join(models, "mediapipe"))
    ask = [SAMPLE, "--spoken", "destination=Bali", "--destination", "Rome", "--lip-sync-model", "musetalk", "--models-dir", models,
           "--cache-dir", os.path.join(WORK, "cache"), "-o", out, "--quiet"]
    began = time.time()
    p = run(*ask, expect=4)
    check(len(p.stderr.splitlines()) == 1 and "models download musetalk" in p.stderr, "no weights: " + p.stderr.strip())
    check(time.time() - began < 10 and not os.path.exists(out), "said at once, nothing written")
    p = run("models", "download", "musetalk", "--models-dir", models, expect=1)
    check("licence" in p.stderr and "CelebAMask-HQ" in p.stderr, "the licences are named")
    subprocess.run([tool, models], check=True)
    run("models", "verify", "musetalk", "--models-dir", models)
    listed = json.loads(run("models", "list", "--models-dir", models, "--json").stdout)
    row = [e for e in listed["engines"] if e["name"] == "musetalk"][0]
    check(row["status"] == "ready" and row["expected"]["cpu"]["memory_bytes"] > 1e9 and row["expected"]["cpu"]["basis"],
          f"what to expect: {row}")
    unet = os.path.join(models, "musetalkV15", "unet.pth")
    whole = open(unet, "rb").read()
    open(unet, "wb").write(whole.replace(b"mid_block.attentions.0.proj_in.bias", b"mid_block.attentions.0.proj_in.bios"))
    p = run(*ask, expect=4)
    check("mid_block.attentions.0.proj_in.bias" in p.stderr, "the wrong tensor is named: " + p.stderr.strip())
    open(unet, "wb").write(whole)
    run(*ask)
    r = check_report(os.path.join(WORK, "mt.json"), len(json.load(open(os.path.join(WORK, "mt.json")))["slots"]))
    check(r["model"] == "musetalk" and r["device"] == "cpu", f"made by {r['model']} on {r['device']} in {r['precision']}")
    check_untouched(SAMPLE, out, r)
    sound_ok(out, r)
    check((r["qc"]["untouched_psnr_db"] or 0) >= 45, f"outside the mask {r['qc']['untouched_psnr_db']} dB")
    check(r["qc"]["jitter_ratio"] is not None, f"jitter is reported: {r['qc']['jitter_ratio']}")
    check(abs(r["qc"]["av_offset_ms"] or 0) <= 1.0, f"A/V offset {r['qc']['av_offset_ms']} ms")
    no_leftovers(WORK)


def case_errors():
    """Bad input: one line, the documented exit code, nothing written."""
    d = os.path.join(WORK, "errors")
    shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d)
    out = os.path.join(d, "o.mp4")
    ff = ["ffmpeg", "-v", "error", "-y"]
    need(SAMPLE)
    subprocess.run(ff + ["-f", "lavfi", "-i", "testsrc=s=320x240:d=2", "-pix_fmt", "yuv420p", os.path.join(WORK, "mute.mp4")], check=True)
    subprocess.run(ff + ["-f", "lavfi", "-i", "testsrc=s=320x240:d=11", "-i", SAMPLE, "-map", "0:v", "-map", "1:a", "-shortest",
                         "-pix_fmt", "yuv420p", os.path.join(WORK, "noface.mp4")], check=True)
    subprocess.run(ff + ["-i", SAMPLE, "-filter_complex", "[0:v]scale=540:960,split[a][b];[a][b]hstack", "-preset",
                         "ultrafast", "-c:a", "copy", os.path.join(WORK, "two.mp4")], check=True)
    data = open(SAMPLE, "rb").read()
    open(os.path.join(WORK, "cut.mp4"), "wb").write(data[:len(data) // 3])
    open(os.path.join(WORK, "text.mp4"), "w").write("hello")
    shutil.copy(os.path.join(SOURCE, "samples", "template.txt"), os.path.join(WORK, "noface.txt"))
    shutil.copy(os.path.join(SOURCE, "samples", "template.txt"), os.path.join(WORK, "two.txt"))
    v = ["--customer-name", "John", "--destination", "Paris"]
    w = lambda n: os.path.join(WORK, n)
    t = need(TEMPLATE)
    ro = os.path.join(d, "folder-that-is-not-there", "o.mp4")
    cases = [
        (2, [w("missing.mp4"), *v]), (2, [w("cut.mp4"), *v]), (2, [w("text.mp4"), *v]), (2, [w("mute.mp4"), "--spoken", "a=b", "--var", "a=c"]),
        (3, [w("noface.mp4"), *v]), (3, [w("two.mp4"), *v]),
        (3, [SAMPLE, "--spoken", "x=xylophone", "--var", "x=drum"]),
        (2, ["render", t, "--customer-name", "", "--destination", "Paris"]),
        (2, ["render", t, "--customer-name", "a" * 400, "--destination", "Paris"]),
        (1, ["render", t, "--customer-name", "John"]), (1, ["render", t, *v, "--var", "colour=red"]),
        (1, [SAMPLE, *v, "--lip-sync-model", "deepfake9000"]), (1, ["render", t, *v, "--fit", "squeeze"]),
        (2, ["render", w("nothing.pzt"), *v]), (5, ["render", t, *v, "--device", "cuda"]),
        (4, [SAMPLE, *v, "--face-detector", "mediapipe", "--models-dir", d, "--cache-dir", w("cache4")]),
        (4, [SAMPLE, *v, "--lip-sync-model", "wav2lip", "--models-dir", d, "--cache-dir", w("cache4")]),
    ]
    for code, args in cases:
        p = run(*args, "-o", out, expect=code)
        lines = [l for l in p.stderr.splitlines() if l.strip()]
        errors = [l for l in lines if "warning" not in l.lower()]
        check(len(errors) >= 1 and errors[-1].startswith("personalize: "), f"exit {code}: {errors[-1][:150] if errors else p.stderr}")
        check(not os.listdir(d), f"nothing written {os.listdir(d)}")
    p = run("render", t, *v, "-o", ro, expect=6)
    check("personalize: " in p.stderr, "unwritable folder: " + p.stderr.strip()[-150:])


def writing(pid, folder):
    """Does the process hold a file open in the folder, named or not?"""
    for fd in os.listdir(f"/proc/{pid}/fd") if os.path.isdir(f"/proc/{pid}/fd") else []:
        try:
            if os.path.dirname(os.readlink(f"/proc/{pid}/fd/{fd}")) == os.path.realpath(folder):
                return True
        except OSError:
            pass  # closed meanwhile
    return False


def case_interrupt():
    """SIGINT ends with 130; neither it nor kill -9 leaves anything behind, and the next run works."""
    t = need(TEMPLATE)
    d = os.path.join(WORK, "interrupt")
    shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d)
    out = os.path.join(d, "o.mp4")
    args = [PROGRAM, "render", t, "--customer-name", "Bartholomew", "--destination", "Paris", "-o", out, "--quiet"]
    for sig, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        for _ in range(1000):
            if writing(p.pid, d) or p.poll() is not None:
                break
            time.sleep(0.01)
        p.send_signal(sig)
        p.wait()
        check(p.returncode in (code, 0), f"signal {sig}: exit {p.returncode}")
        if p.returncode == 0:
            print("note: it had finished before the signal came")
        else:
            check(not os.path.exists(out), "no output under its name")
        if p.returncode != 0:
            check(not os.listdir(d), f"nothing left behind {os.listdir(d)}")
    run("render", t, "--customer-name", "Bartholomew", "--destination", "Paris", "-o", out, "--quiet")
    check(os.path.exists(out), "the next run works")


def case_full_disk():
    """No room: exit 6, one line, nothing under the output's name. A file size limit stands in for a small disk."""
    t = need(TEMPLATE)
    d = os.path.join(WORK, "full")
    shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d)
    script = 'trap "" XFSZ; ulimit -f 200; exec "$@"'
    p = subprocess.run(["bash", "-c", script, "x", PROGRAM, "render", t, "--customer-name", "John", "--destination", "Paris", "-o",
                        os.path.join(d, "o.mp4"), "--quiet"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(p.returncode == 6, f"exit {p.returncode}: {p.stderr.strip()[-200:]}")
    check(not os.listdir(d), f"nothing left behind {os.listdir(d)}")


os.makedirs(WORK, exist_ok=True)
globals()["case_" + CASE]()

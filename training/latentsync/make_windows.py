#!/usr/bin/env python3
"""Films of pz_synth (rgb24 and wav) to latents and sound of the small LatentSync: windows.npz.

  make_windows.py DIR OUT.npz WIDTH HEIGHT [OTHER.npz]    DIR/pN.raw, DIR/pN.wav from training/latentsync/films; OTHER: take its components

Crops as LatentSync's (three points, template, 3:4 squashed to 64x64 px), every 4x4 patch of 3 colours turned into 4 numbers by principal components
(the VAE's part: 16x16x4 latents of unit variance), sound as 24 log-mel bands 50 times a second. Landmarks by the mediapipe package."""
import glob, sys, wave
import mediapipe as mp
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SIZE, PATCH = 64, 4
BROWS = [[70, 63, 105, 66, 107], [336, 296, 334, 293, 300]]
NOSE = [168, 197, 5, 4, 98, 97, 2, 326, 327]


def points(lm):
    return np.array([lm[BROWS[0]].mean(0), lm[BROWS[1]].mean(0), lm[NOSE].mean(0)])


def similarity(p, rho):
    q = np.array([[17, 20], [58, 20], [37.5, 40]]) * rho
    cp, cq = p.mean(0), q.mean(0)
    a, b = (p - cp) @ [1, 1j], (q - cq) @ [1, 1j]
    s = (np.conj(a) @ b) / (np.conj(a) @ a)
    return s, (cq @ [1, 1j]) - s * (cp @ [1, 1j])


def crop(im, s, t, w, h):
    """64x64x3 in [-1, 1]: upright crop of w x h at this scale, squashed to a square."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    z = (x * w / SIZE + 1j * y * h / SIZE - t) / s
    return np.stack([map_coordinates(im[..., k], [z.imag - 0.5, z.real - 0.5], order=1, mode="nearest") for k in range(3)], -1) / 127.5 - 1


def mel_bands(path, frames):
    """[frames][10][24]: rows of 20 ms around each picture, from 4 before to 5 after."""
    with wave.open(path) as f:
        rate, x = f.getframerate(), np.frombuffer(f.readframes(f.getnframes()), np.int16) / 32768
    n, hop = int(0.04 * rate), rate // 50
    rows = len(x) // hop
    x = np.concatenate([np.zeros(n // 2), x, np.zeros(n)])
    power = np.abs(np.fft.rfft(np.stack([x[i * hop:i * hop + n] for i in range(rows)]) * np.hanning(n))) ** 2
    hz = np.fft.rfftfreq(n, 1 / rate)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 7600 / 700), 26) / 2595) - 1)
    bank = np.stack([np.clip(np.minimum((hz - a) / (b - a), (c - hz) / (c - b)), 0, None) for a, b, c in zip(edges, edges[1:], edges[2:])])
    e = np.log10(np.maximum(power @ bank.T, 1e-8))
    e = (np.maximum(e, e.max() - 6) - e.max() + 3) / 2
    at = np.clip(np.arange(frames)[:, None] * 2 + np.arange(-4, 6), 0, rows - 1)
    return e[at].astype(np.float32)


def main():
    folder, out, w, h = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    pictures, sound, film = [], [], []
    rho = 1.0  # crop of 75 x 100
    for wav in sorted(glob.glob(f"{folder}/p*.wav"), key=lambda p: int(p.split("/p")[-1][:-4])):
        number = int(wav.split("/p")[-1][:-4])
        raw = np.fromfile(wav[:-3] + "raw", np.uint8).reshape(-1, h, w, 3)
        find = mp.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
        tracks = []
        for im in raw:
            r = find.process(np.ascontiguousarray(im.repeat(2, 0).repeat(2, 1)))
            tracks.append(points(np.array([[l.x * w, l.y * h] for l in r.multi_face_landmarks[0].landmark])) if r.multi_face_landmarks else None)
        if any(t is None for t in tracks):
            print(number, "left out: a frame without a face")
            continue
        tracks = gaussian_filter(np.array(tracks), (1.5, 0, 0), mode="nearest")
        for im, p in zip(raw.astype(np.float32), tracks):
            pictures.append(crop(im, *similarity(p, rho), 75 * rho, 100 * rho).astype(np.float32))
        sound.append(mel_bands(wav, len(raw)))
        film += [number] * len(raw)
        print(number, len(raw), flush=True)
    pictures, film = np.stack(pictures), np.array(film)
    patches = pictures.reshape(-1, SIZE // PATCH, PATCH, SIZE // PATCH, PATCH, 3).transpose(0, 1, 3, 2, 4, 5).reshape(len(pictures), -1, PATCH * PATCH * 3)
    train = patches[film % 8 != 7].reshape(-1, 48)
    mean = train.mean(0)
    values, axes = np.linalg.eigh(np.cov((train[::7] - mean).T))
    basis = (axes[:, ::-1][:, :4] * np.sqrt(values[::-1][:4])).T  # [4][48]: pictures = mean + latent @ basis
    if len(sys.argv) > 5:
        mean, basis = (np.load(sys.argv[5])[k] for k in ("mean", "basis"))
    latent = (patches - mean) @ np.linalg.pinv(basis)
    back = mean + latent @ basis
    print("variance kept %.4f, PSNR %.2f dB" % (values[::-1][:4].sum() / values.sum(), 10 * np.log10(4 / ((back - patches) ** 2).mean())))
    np.savez_compressed(out, latent=np.clip(np.rint(latent * 24), -127, 127).astype(np.int8), sound=np.concatenate(sound).astype(np.float16), film=film.astype(np.int16),
                        mean=mean.astype(np.float32), basis=basis.astype(np.float32))


main()

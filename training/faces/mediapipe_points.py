"""MediaPipe's points of every frame, for clips.py: mediapipe_points.py CLIPS OUT (needs mediapipe and OpenCV)."""
import glob
import os
import sys

import cv2
import mediapipe as mp
import numpy as np

for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.mp4"))):
    cap = cv2.VideoCapture(path)
    w, h = cap.get(3), cap.get(4)
    mesh = mp.solutions.face_mesh.FaceMesh(static_image_mode=False, refine_landmarks=True, max_num_faces=1)
    rows = []
    while True:
        ok, im = cap.read()
        if not ok:
            break
        r = mesh.process(cv2.cvtColor(im, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        rows.append([[q.x * w, q.y * h, q.z * w] for q in r[0].landmark] if r else np.full((478, 3), np.nan))
    np.save(os.path.join(sys.argv[2], os.path.basename(path)[:-4] + ".npy"), np.array(rows, np.float32))

"""The mathematics of ReLU networks: pure functions on tensors, no files, no settings.

Bibliography, cited in brackets throughout:

[ACFH20]   Andriushchenko, Croce, Flammarion, Hein: Square Attack: a query-efficient black-box
           adversarial attack via random search. ECCV 2020.
[CAH19]    Croce, Andriushchenko, Hein: Provable Robustness of ReLU networks via Maximization of
           Linear Regions. AISTATS 2019.
[CH18]     Croce, Hein: A randomized gradient-free attack on ReLU networks. GCPR 2018.
[CH20]     Croce, Hein: Provable Robustness against all Adversarial l_p-Perturbations for p >= 1.
           ICLR 2020.
[CH20a]    Croce, Hein: Reliable evaluation of adversarial robustness with an ensemble of diverse
           parameter-free attacks. ICML 2020.
[CH20b]    Croce, Hein: Minimally distorted adversarial examples with a fast adaptive boundary
           attack. ICML 2020.
[CH21]     Croce, Hein: Mind the box: l1-APGD for sparse adversarial attacks on image classifiers.
           ICML 2021.
[CPR74]    Curtis, Powell, Reid: On the Estimation of Sparse Jacobian Matrices. IMA Journal of
           Applied Mathematics 13, 1974.
[CW17]     Carlini, Wagner: Towards Evaluating the Robustness of Neural Networks. S&P 2017.
[HA17]     Hein, Andriushchenko: Formal Guarantees on the Robustness of a Classifier against
           Adversarial Manipulation. NeurIPS 2017.
[HZRS15]   He, Zhang, Ren, Sun: Delving Deep into Rectifiers. ICCV 2015.
[LH74]     Lawson, Hanson: Solving Least Squares Problems. Prentice-Hall 1974.
[MMSTV18]  Madry, Makelov, Schmidt, Tsipras, Vladu: Towards Deep Learning Models Resistant to
           Adversarial Attacks. ICLR 2018.
[NS04]     Neumaier, Shcherbina: Safe bounds in linear and mixed-integer linear programming.
           Mathematical Programming 99, 2004.
[SWZYH21]  Shi, Wang, Zhang, Yi, Hsieh: Fast Certified Robust Training with Short Warmup. NeurIPS
           2021.
[TB19]     Tramer, Boneh: Adversarial Training and Robustness for Multiple Perturbations.
           NeurIPS 2019.
[TXT19]    Tjeng, Xiao, Tedrake: Evaluating Robustness of Neural Networks with Mixed Integer
           Programming. ICLR 2019.
[WK18]     Wong, Kolter: Provable Defenses against Adversarial Examples via the Convex Outer
           Adversarial Polytope. ICML 2018.
[WSMK18]   Wong, Schmidt, Metzen, Kolter: Scaling Provable Adversarial Defenses. NeurIPS 2018.
[WZCS18]   Weng, Zhang, Chen, Song, Hsieh, Boning, Dhillon, Daniel: Towards Fast Computation of
           Certified Robustness for ReLU Networks (Fast-Lin). ICML 2018.
[XSZW20]   Xu, Shi, Zhang, Wang, Chang, Huang, Kailkhura, Lin, Hsieh: Automatic Perturbation
           Analysis for Scalable Certified Robustness and Beyond (auto_LiRPA). NeurIPS 2020.
[XZWJ21]   Xu, Zhang, Wang, Wang, Jana, Lin, Hsieh: Fast and Complete: Enabling Complete Neural
           Network Verification with Rapid and Massively Parallel Incomplete Verifiers
           (alpha-CROWN). ICLR 2021.
[ZWCHD18]  Zhang, Weng, Chen, Hsieh, Daniel: Efficient Neural Network Robustness Certification with
           General Activation Functions (CROWN). NeurIPS 2018.
"""
